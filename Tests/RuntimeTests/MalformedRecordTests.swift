import TestSupport
import Testing

/// What no gateway sends, but whoever may write to the socket can.
@Suite struct MalformedRecordTests {
    private func livez(concurrency: Int = 4) throws -> FunctionProcess {
        try FunctionProcess("LivezFunction", routes: ["GET /livez"], concurrency: concurrency)
    }

    private static func changed(
        _ record: FastCGIRecord, _ change: (inout FastCGIRecord) -> Void
    ) -> [UInt8] {
        var record = record
        change(&record)
        return record.bytes
    }

    private static let good = FastCGIProbe.records("GET", "/livez").flatMap(\.bytes)

    private static let broken: [[UInt8]] = [
        [], [1], [0], [1, 1, 0, 1], Array("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
        [UInt8](repeating: 0, count: 64), [UInt8](repeating: 255, count: 64),
        changed(.begin()) { $0.version = 0 }, changed(.begin()) { $0.version = 2 },
        changed(.begin()) { $0.type = 0 } + good, changed(.begin()) { $0.type = 200 } + good,
        changed(.begin()) { $0.requestID = 0 } + good, changed(.begin()) { $0.content = [0, 1] } + good,
        changed(.begin()) { $0.content = [] } + good, changed(.begin()) { $0.announcedLength = 65_535 },
        FastCGIRecord.begin(role: 2).bytes + good, FastCGIRecord.begin(role: 3).bytes,
        FastCGIRecord.begin(role: 99).bytes, FastCGIRecord.begin().bytes + FastCGIRecord.begin().bytes + good,
        FastCGIRecord.begin().bytes + FastCGIRecord(.abort).bytes,
        FastCGIRecord.begin().bytes + FastCGIRecord(.standardInput, [1, 2]).bytes,
        FastCGIRecord.begin().bytes + FastCGIRecord(.end, [UInt8](repeating: 0, count: 8)).bytes,
        FastCGIRecord.begin().bytes + FastCGIRecord(.parameters, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).bytes,
        FastCGIRecord.begin().bytes
            + FastCGIRecord(.parameters, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 65]).bytes
            + FastCGIRecord(.parameters).bytes,
        FastCGIRecord.begin().bytes + FastCGIRecord(.parameters, [200]).bytes + FastCGIRecord(.parameters).bytes,
        FastCGIRecord.begin().bytes + FastCGIRecord(.parameters, [5, 5, 65]).bytes + FastCGIRecord(.parameters).bytes,
        FastCGIRecord.begin().bytes + changed(FastCGIRecord(.parameters, [1, 1, 65, 66])) { $0.requestID = 9 },
        FastCGIRecord.begin().bytes + changed(FastCGIRecord(.parameters, [1])) { $0.announcedLength = 65_535 },
        FastCGIRecord(.parameters, [1, 1, 65, 66]).bytes, FastCGIRecord(.standardInput, [1]).bytes,
        FastCGIRecord(.unknown, [1, 2, 3]).bytes, FastCGIRecord.getValues([]).bytes,
        FastCGIRecord.getValues(["FCGI_MAX_CONNS"]).bytes, FastCGIRecord.getValues(["NONE", ""]).bytes,
        changed(FastCGIRecord.getValues([])) { $0.announcedLength = 30 },
        Array(good.dropLast(8)), Array(good.dropLast(9)), Array(good.prefix(17)),
    ]

    @Test func breakNoOthersAnswer() throws {
        let function = try livez()
        let statuses = try concurrently(4) { index in
            if index == 0 {
                for bytes in Self.broken {
                    let probe = try FastCGIProbe(path: function.socketPath)
                    try? probe.socket.send(bytes)
                    probe.socket.finishSending()
                    _ = try? probe.socket.receiveAll()
                }
                return [200]
            }
            return try (0..<100).map { _ in try function.request("GET", "/livez").status }
        }
        #expect(statuses.joined().allSatisfy { $0 == 200 })
        #expect(function.process.end == nil)
        #expect(try function.log().allSatisfy { $0["level"]?.string == "info" })
        function.process.terminate()
        #expect(try function.process.waitForEnd() == .exited(0))
    }

    /// Bytes of a good request, some of them changed, by a generator with a seed that a failure names.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func changedBytesBreakNoOthersAnswer(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let function = try livez()
        for _ in 0..<150 {
            var bytes = Self.good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            let probe = try FastCGIProbe(path: function.socketPath)
            try? probe.socket.send(bytes)
            probe.socket.finishSending()
            _ = try? probe.socket.receiveAll()
        }
        #expect(try function.request("GET", "/livez").status == 200)
        #expect(function.process.end == nil)
    }

    @Test func silentPeersAndHalfRecordsHoldNoWorkerForEver() throws {
        let function = try livez(concurrency: 2)
        let halves: [[UInt8]] = [[], [1], [1, 1, 0], Array(Self.good.prefix(12)), Array(Self.good.prefix(40))]
        let silent = try (halves + halves).map { bytes in
            let probe = try FastCGIProbe(path: function.socketPath)
            try probe.socket.send(bytes)
            return probe
        }
        #expect(try function.request("GET", "/livez").status == 200)
        #expect(try function.request("GET", "/livez").status == 200)
        function.process.terminate()
        #expect(try function.process.waitForEnd() == .exited(0))
        withExtendedLifetime(silent) {}
    }

    /// libfcgi writes its answer to GET_VALUES into 64 bytes without counting: a gateway that asks for one name five
    /// times ends the process. Nobody but the gateway may write to the socket, and what is lost is one process.
    @Test func aRepeatedQuestionCostsAtMostOneProcess() throws {
        let first = try livez()
        let environment = FunctionProcess.environment("LivezFunction", routes: ["GET /livez"])
        let second = try first.sibling("LivezFunction", environment: environment)
        let probe = try FastCGIProbe(path: first.socketPath)
        try probe.send([.getValues(Array(repeating: "FCGI_MAX_CONNS", count: 5))])
        probe.socket.finishSending()
        _ = try? probe.socket.receiveAll()
        for _ in 0..<20 { #expect(try first.request("GET", "/livez").status == 200) }
        #expect([first, second].count { $0.process.end == nil } >= 1)
    }
}
