import Postgres
import Runtime
import TestSupport
import Testing

/// An address that names several servers, the first of which takes connections and never says a word.
@Suite struct SeveralHostsTests {
    private let silent: StreamListener
    private let database: String
    private let server = PostgresServer.shared

    init() throws {
        silent = try StreamListener()
        database = try #require(server.freshDatabase().split(separator: "/").last.map(String.init))
    }

    private func url(_ ports: Int..., attributes: String = "read-write") -> String {
        let hosts = ports.map { "127.0.0.1:\($0)" }.joined(separator: ",")
        return "postgresql://postgres:hop@\(hosts)/\(database)?target_session_attrs=\(attributes)"
    }

    /// How many connections have come to the silent one since the last call.
    private func calls() -> Int {
        var count = 0
        while silent.hasWaiting, silent.accept() != nil { count += 1 }
        return count
    }

    /// Opens a session.
    /// - Returns: the port at which it found its server.
    private func port(_ url: String) throws -> Int {
        let deadline = Deadline.after(milliseconds: 4000)
        return try Connection(url: url, application: "several", deadline: deadline)
            .execute("SELECT inet_server_port()", deadline: .soon)[0].decode(Int.self)
    }

    @Test func theNextOneIsTriedInTimeAndIsTheFirstFromThenOn() throws {
        let address = url(silent.port, server.port)
        #expect(try port(address) == server.port)
        #expect(calls() == 1)
        #expect(try port(address) == server.port)
        #expect(calls() == 0)
    }

    @Test func aFunctionFindsItInTheTimeThatItHas() throws {
        let database = Database(url: url(silent.port, server.port), application: "several")
        // A busy machine may need several tries; without another host no number of them is enough.
        try Eventually.happens("a session with the second") {
            (try? database.execute("SELECT 1", deadline: .soon))?.count == 1
        }
        #expect(calls() > 0)
    }

    @Test func hostsWithAddressesAndOnePortForAllAreTriedOneByOne() throws {
        let socket = try TemporaryFolder()
        let silent = try StreamListener(path: "\(socket.path)/.s.PGSQL.\(server.port)")
        let address = "host=\(socket.path),\(server.folder) port=\(server.port) user=postgres dbname=\(database)"
        #expect(try Connection(url: address, application: "several", deadline: .after(milliseconds: 4000)).isUsable)
        #expect(silent.hasWaiting)
        let named = "host=one,two hostaddr=127.0.0.1,127.0.0.1 port=\(self.silent.port),\(server.port)"
        #expect(try port("\(named) user=postgres dbname=\(database)") == server.port)
        #expect(calls() == 1)
    }

    @Test func aServerThatTakesNoWritesIsPassedOver() throws {
        let other = try PostgresServer()
        let session = try other.connect(to: other.url("postgres"))
        try session.run(script: "CREATE DATABASE \(database)", deadline: .soon)
        try session.run(script: "ALTER DATABASE \(database) SET default_transaction_read_only = on", deadline: .soon)
        let address = url(other.port, silent.port, server.port)
        #expect(try port(address) == server.port)
        #expect(try port(url(other.port, silent.port, server.port, attributes: "any")) == other.port)
        // The one that answered last does so no more.
        try session.run(script: "ALTER DATABASE \(database) RESET default_transaction_read_only", deadline: .soon)
        try server.connect(to: server.url("postgres"))
            .run(script: "ALTER DATABASE \(database) SET default_transaction_read_only = on", deadline: .soon)
        #expect(try port(address) == other.port)
    }

    /// As after a failover: a standby answered while the primary was away, and the primary is back.
    @Test func whoTurnsOutToTakeNoWritesIsNoLongerTheFirst() throws {
        let standby = try PostgresServer()
        let session = try standby.connect(to: standby.url("postgres"))
        try session.run(script: "CREATE DATABASE \(database)", deadline: .soon)
        try session.run(script: "ALTER DATABASE \(database) SET default_transaction_read_only = on", deadline: .soon)
        let address = url(server.port, standby.port, attributes: "any")
        let primary = try server.connect(to: server.url("postgres"))
        try primary.run(script: "ALTER DATABASE \(database) ALLOW_CONNECTIONS false", deadline: .soon)
        #expect(try port(address) == standby.port)
        try primary.run(script: "ALTER DATABASE \(database) ALLOW_CONNECTIONS true", deadline: .soon)
        #expect(try port(address) == standby.port)
        let database = Database(url: address, application: "several")
        #expect(throws: PostgresError.self) { try database.execute("CREATE TABLE t ()", deadline: .soon) }
        try database.execute("CREATE TABLE t ()", deadline: .soon)
    }

    @Test func whenNobodyAnswersEachIsNamedWithItsReason() throws {
        let closed = try Loopback.freePort()
        let error = try #require(throws: PostgresError.self) { try port(url(silent.port, closed, silent.port)) }
        guard case .unavailable(let reason) = error else { throw error }
        let parts = reason.split(separator: "; ")
        #expect(parts.map { $0.contains("127.0.0.1:\(silent.port): no session in time") } == [true, false, true])
        #expect(parts.dropFirst().first?.contains("127.0.0.1:\(closed): ") == true && reason.contains("refused"))
        #expect(!error.description.contains("hop") && error.problem.status == 503)
    }

    @Test func aListThatOnlyLibpqCanReadIsLeftToIt() throws {
        let error = try #require(throws: PostgresError.self) {
            try port("postgresql://postgres@127.0.0.1,127.0.0.1/x?port=1,2,3")
        }
        #expect(error.description.contains("could not match 3 port numbers to 2 hosts"))
    }
}
