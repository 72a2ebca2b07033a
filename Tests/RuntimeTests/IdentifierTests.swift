import Testing

@testable import Runtime

@Suite struct IdentifierTests {
    @Test func uuidsHaveTheFormOfVersion7() {
        for _ in 0..<1000 {
            let text = Identifier.uuid()
            #expect(text.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
            #expect(text.allSatisfy { "0123456789abcdef-".contains($0) })
            let characters = Array(text)
            #expect(characters[14] == "7")
            #expect("89ab".contains(characters[19]))
        }
    }

    @Test func uuidsAreUniqueAndInOrderOfTime() throws {
        let first = Identifier.uuid()
        let many = Set((0..<100_000).map { _ in Identifier.uuid() })
        #expect(many.count == 100_000)
        // The time has whole milliseconds: what is made in a later one is greater.
        let now = Clock.epochMilliseconds()
        while Clock.epochMilliseconds() == now {}
        let last = Identifier.uuid()
        #expect(first < last)
        #expect(many.allSatisfy { $0 < last })
        let time = try #require(Int(last.filter { $0 != "-" }.prefix(12), radix: 16))
        #expect((now...Clock.epochMilliseconds()).contains(time))
    }

    @Test(arguments: ["a", "0190-x_y.Z", String(repeating: "x", count: 128)])
    func takesValidRequestIDs(_ text: String) { #expect(Identifier.isValidRequestID(text)) }

    @Test(arguments: ["", "a b", "a:b", "é", "a\n", "a\0", "<x>", "a,b", String(repeating: "x", count: 129)])
    func replacesInvalidOnes(_ text: String) { #expect(!Identifier.isValidRequestID(text)) }

    @Test func makesValidTraces() {
        let traces = (0..<1000).map { _ in Identifier.traceparent() }
        #expect(traces.allSatisfy(Identifier.isTraceparent))
        #expect(Set(traces).count == traces.count)
    }

    @Test func takesAWellFormedTrace() {
        #expect(Identifier.isTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
        #expect(Identifier.isTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"))
    }

    @Test(
        arguments: [
            "", "00", "00--", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
        ])
    func replacesABrokenOne(_ text: String) { #expect(!Identifier.isTraceparent(text)) }
}
