import Events
import Testing

@testable import Messaging

@Suite struct HeldSubjectsTests {
    private func row(_ subject: String, type: String = "refused") -> OutboxTable.Row {
        let envelope = Envelope(
            id: subject, type: type, source: "", subject: subject, time: nil, sequence: 1,
            cause: EventCause(traceparent: nil, correlationID: nil, causationID: nil))
        return OutboxTable.Row(position: 1, envelope: envelope, data: "{}")
    }

    @Test func nothingIsSentOfWhatCouldNotBeRemembered() {
        var held = HeldSubjects()
        let rows = (0..<10_000).map { row("s\($0)") }
        #expect(held.begin().isEmpty && held.choose(rows).free.count == 10_000)
        #expect(!held.learn(rows, refused: rows.map { _ in true }).contains(true))
        held.end(isAll: true)
        let other = row("other", type: "taken")
        _ = held.begin()
        #expect(held.choose([other]).free.isEmpty)
        held.endPauses()
        var sent = 0
        for width in [1, 2, 4] {
            #expect(held.begin().count == 10_000 - sent - width)
            let (free, tried) = held.choose(Array(rows[sent...]))
            #expect(free.isEmpty && tried.count == width)
            #expect(!held.learn(tried, refused: tried.map { _ in false }).contains(false))
            held.end(isAll: false)
            sent += width
        }
        #expect(held.count == 10_000 - sent)
        _ = held.begin()
        #expect(held.choose([other]).free.count == 1)
    }

    @Test func whatFollowsAHeldEventOfItsSubjectWaits() {
        var held = HeldSubjects()
        let batch = [row("a", type: "first"), row("a"), row("a", type: "last"), row("b", type: "last")]
        _ = held.begin()
        #expect(
            held.learn(held.choose(batch).free, refused: [false, true, false, false]) == [true, false, false, true])
        held.end(isAll: true)
        #expect(held.count == 1)
        _ = held.begin()
        // Another subject's event of that type is not even sent, and an earlier event that is refused comes before.
        let next = held.choose([row("c", type: "first"), row("c"), row("c", type: "last")])
        #expect(next.free.map(\.envelope.type) == ["first"] && next.tried.isEmpty)
        #expect(held.learn(next.free, refused: [true]) == [false])
        held.end(isAll: false)
        held.endPauses()
        var tried: [[String]] = []
        for _ in 1...2 {
            _ = held.begin()
            let rows = held.choose([row("a"), row("c", type: "first")]).tried
            tried.append(rows.map(\.subject))
            _ = held.learn(rows, refused: rows.map { _ in false })
            held.end(isAll: false)
        }
        #expect(Set(tried) == [["a"], ["c"]] && held.count == 0)
    }
}
