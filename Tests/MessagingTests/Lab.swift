import Foundation
import Messaging
import Postgres
import Runtime
import Synchronization
import TestSupport
import Testing

/// A service with an outbox, a consumer with an inbox and a ledger of its effects, in a database of their own, with an
/// exchange and queues of their own at the broker.
final class Lab: Sendable {
    static let broker = RabbitMQServer.shared
    private static let counter = Atomic<Int>(0)

    let number: String
    let url: String
    let topology: ConsumerTopology
    let relay: Program
    let consumer: Program

    /// - Parameters:
    ///   - retry: seconds.
    ///   - batch: of the consumer.
    ///   - bindings: none for events that nobody wants.
    init(
        on server: PostgresServer = .shared, retry: [Int] = [1, 1], prefetch: Int = 20, batch: Int = 10,
        bindings: [String] = ["ledger.#"]
    ) throws {
        number = "lab\(Self.counter.wrappingAdd(1, ordering: .relaxed).newValue)"
        url = try server.freshDatabase()
        topology = ConsumerTopology(
            queue: "\(number).ledger", exchange: "\(number).events", routingKeys: bindings, retry: retry)
        let signal = "/tmp/taproom-signal-\(getpid())-\(number)"
        let shared = ["DATABASE_URL": url, "AMQP_URL": Self.broker.url, "TAPROOM_TIMEOUT": "10"]
        relay = try Program(
            "RelayFunction",
            shared.merging([
                "TAPROOM_FUNCTION": "relay", "TAPROOM_OUTBOX": number, "TAPROOM_EXCHANGE": topology.exchange,
                "TAPROOM_BATCH": "50", "OUTBOX_SIGNAL": signal,
            ]) { $1 }, leaves: signal)
        consumer = try Program(
            "LedgerConsumer",
            shared.merging([
                "TAPROOM_FUNCTION": "ledger", "TAPROOM_CONCURRENCY": "1", "TAPROOM_QUEUE": topology.queue,
                "TAPROOM_EXCHANGE": topology.exchange, "TAPROOM_ROUTING_KEYS": bindings.joined(separator: ","),
                "TAPROOM_RETRY": retry.map(String.init).joined(separator: ","), "TAPROOM_PREFETCH": "\(prefetch)",
                "TAPROOM_BATCH": "\(batch)", "TAPROOM_DEAD_LETTER": topology.deadLetter,
            ]) { $1 })
        let tables = try #require(try EventTables.scripts().values.first)
        try sql { try $0.run(script: tables + Self.schema, deadline: .soon) }
        // A server that dies must not take back what it has acknowledged.
        try sql {
            try $0.execute("SELECT set_config('synchronous_commit', 'on', false)", deadline: .soon)
            let name = url.split(separator: "/").last.map(String.init) ?? ""
            try $0.run(script: "ALTER DATABASE \(name) SET synchronous_commit = on", deadline: .soon)
        }
        try topology.declare(at: address, deadline: .soon)
    }

    var address: BrokerAddress { get throws { try BrokerAddress(Self.broker.url) } }
    var deadLetters: DeadLetters {
        get throws { DeadLetters(at: try address, workQueue: topology.queue, queue: topology.deadLetter) }
    }

    /// - Returns: the ids of those that were sent again.
    func redrive(_ selection: DeadLetters.Selection = .all) throws -> [String] {
        var ids: [String] = []
        try deadLetters.redrive(selection, deadline: .soon) { letter, fault in
            if fault == nil { ids.append(letter.id) }
        }
        return ids
    }

    // MARK: The database

    @discardableResult
    func sql<Result>(_ body: (Connection) throws -> Result) throws -> Result {
        try body(Connection(url: url, application: "test", deadline: .soon))
    }

    func count(_ statement: SQL) throws -> Int {
        try sql { try $0.execute(statement, deadline: .soon)[0].decode(Int.self) }
    }

    /// Writes events of subjects `s0`, `s1`, …, as many of each, in one transaction.
    func write(_ count: Int, subjects: Int = 1, type: String = "ledger.entry", mode: String? = nil) throws {
        let data = mode.map { "{\"mode\":\"\($0)\"}" } ?? "{}"
        try sql {
            try $0.execute(
                """
                INSERT INTO outbox (type, subject, sequence, data, correlation_id)
                SELECT \(type), 's' || s, coalesce((SELECT max(sequence) FROM outbox WHERE subject = 's' || s), 0) + n,
                       \(data), 'from-test'
                FROM generate_series(1, \(count)::int) n, generate_series(0, \(subjects)::int - 1) s ORDER BY n, s
                """, deadline: .soon)
        }
    }

    func breakMode(_ mode: String) throws {
        try sql { try $0.execute("INSERT INTO broken VALUES (\(mode))", deadline: .soon) }
    }

    func mend() throws { try sql { try $0.execute("DELETE FROM broken", deadline: .soon) } }

    /// For every session from now on, as at a server that waits to take over.
    func setReadOnly(_ isOn: Bool) throws {
        let session = try Connection(
            url: url, application: "test", options: ["default_transaction_read_only": "off"], deadline: .soon)
        let name = url.split(separator: "/").last.map(String.init) ?? ""
        try session.run(script: "ALTER DATABASE \(name) SET default_transaction_read_only = \(isOn)", deadline: .soon)
    }

    func effects() throws -> Int { try count("SELECT count(*) FROM effect") }

    /// Waits until every event has its effect, and counts one for one.
    func audit(within seconds: Int = 60) throws {
        try Eventually.happens("every event of \(number) to take effect", within: seconds) {
            try count("SELECT count(*) FROM outbox WHERE id::text NOT IN (SELECT event_id FROM effect)") == 0
        }
        #expect(try mismatches() == 0, "\(number): an event without its one effect, or an effect without its event")
    }

    func mismatches() throws -> Int {
        try count(
            """
            SELECT count(*) FROM outbox FULL JOIN (SELECT event_id, count(*) AS times FROM effect GROUP BY 1) AS done
                ON done.event_id = outbox.id::text
            WHERE done.times IS DISTINCT FROM 1 OR outbox.id IS NULL
            """)
    }

    /// Effects whose sequence is not above all of their subject before them.
    func outOfOrder() throws -> Int {
        try count(
            """
            SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY subject ORDER BY place) AS before
                                  FROM effect) AS e WHERE sequence < before
            """)
    }

    /// Runs relay and consumer until so many events were given up.
    /// - Returns: both, which run on.
    func makeDeadLetters(_ count: Int) throws -> [ChildProcess] {
        try breakMode("give-up")
        let processes = [try relay.start(), try consumer.start()]
        try write(count, mode: "give-up")
        try waitForDeadLetters(count)
        return processes
    }

    func waitForDeadLetters(_ count: Int) throws {
        let queue = topology.deadLetter
        try Eventually.happens("\(count) dead letters of \(number)") {
            try QueueCounts.of([queue], at: address, deadline: .soon)[queue]??.messages == count
        }
    }

    /// Beside the tables that every service has for its events.
    private static let schema = """
        CREATE TABLE effect (
            place bigserial, event_id text NOT NULL, subject text, sequence bigint, request_id text,
            at timestamptz DEFAULT clock_timestamp());
        CREATE INDEX ON effect (event_id);
        CREATE TABLE broken (mode text);
        """
}

/// A program of this package in a folder of its own, where a test can tell it to stand still or to die.
final class Program: Sendable {
    private let executable: String
    private let folder: TemporaryFolder
    let path: String
    private let environment: [String: String]
    private let leftover: String?

    /// - Parameter leaves: a file that goes with this value.
    init(_ executable: String, _ environment: [String: String], leaves: String? = nil) throws {
        self.executable = executable
        folder = try TemporaryFolder()
        path = "\(folder.path)/\(executable)"
        leftover = leaves
        self.environment = environment
        try folder.copy(executable: TestProcess.product(executable), to: executable)
    }

    deinit { if let leftover { unlink(leftover) } }

    func start(_ more: [String: String] = [:], arguments: [String] = []) throws -> ChildProcess {
        try ChildProcess(path, arguments: arguments, environment: environment.merging(more) { $1 })
    }

    /// Runs with `--event` to its end.
    func run(event: String) throws -> FunctionRun {
        try FunctionRun(
            executable, arguments: ["--event"], environment: environment, input: Array(event.utf8))
    }

    /// From now on its processes stand still at this place.
    func hold(at point: String) throws { try order("hold \(point)") }
    /// From now on its processes die at this place.
    func kill(at point: String) throws { try order("kill \(point)") }
    /// From now on its processes run as ever, also those that stand still.
    func go() throws { try order("go") }

    private func order(_ text: String) throws {
        try folder.write("fault.new", text)
        guard rename("\(folder.path)/fault.new", "\(folder.path)/fault") == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
    }
}

extension ChildProcess {
    func waitUntilHeld() throws {
        try Eventually.happens("process \(pid) to stand still") { lines.contains { $0.hasPrefix("{\"held\"") } }
    }
}
