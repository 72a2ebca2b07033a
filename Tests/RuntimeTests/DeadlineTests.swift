import Runtime
import Testing

@Suite struct DeadlineTests {
    @Test func passesOnceAndForAll() {
        #expect(Deadline.after(milliseconds: 0).hasPassed)
        #expect(Deadline.after(milliseconds: -5).hasPassed)
        #expect(Deadline.after(milliseconds: .min).hasPassed)
        #expect(Deadline.after(milliseconds: 0).remainingMilliseconds == 0)
        #expect(!Deadline.after(milliseconds: 60_000).hasPassed)
        #expect(!Deadline.never.hasPassed)
    }

    @Test func roundsUpAndFitsThirtyTwoBits() {
        let soon = Deadline.after(milliseconds: 60_000)
        #expect((1...60_001).contains(soon.remainingMilliseconds))
        #expect(Deadline.never.remainingMilliseconds == Int(Int32.max))
        #expect(Deadline.after(milliseconds: 1_000_000_000_000).remainingMilliseconds == Int(Int32.max))
    }

    @Test func ordersByTime() {
        let hour = Deadline.after(milliseconds: 3_600_000)
        #expect(hour.atMost(milliseconds: 1000) < hour)
        #expect(hour.atMost(milliseconds: 7_200_000) == hour)
        #expect(hour < .never)
        #expect(Deadline.never.atMost(milliseconds: 5) < hour)
    }
}
