import CPostgres
import Glibc
public import Runtime

/// One session with PostgreSQL, owned by one thread at a time.
///
/// It closes when it goes. Every wait ends at the deadline it was given; after a time-out or a break the session is
/// closed and `isUsable` is false, since its state is unknown.
public final class Connection {
    private let url: String
    private var handle: OpaquePointer?
    /// Prepared statements of this session: the text's name at the server.
    private var prepared: [String: String] = [:]
    private var preparations = 0

    /// Opens a session.
    /// - Parameters:
    ///   - url: a libpq connection URI or keyword string. Of its own `options` those hold that `options` does not name.
    ///     Where it names several servers, each is tried by itself, see `HostList`.
    ///   - application: `application_name`, shown in `pg_stat_activity`.
    ///   - options: server settings for the session, such as `statement_timeout`; no value with a backslash. Transactions
    ///     are READ COMMITTED and may idle, and dates are ISO 8601, unless it says otherwise. Texts are UTF-8 always.
    /// - Throws: `PostgresError.unavailable` when there is no session by the deadline.
    public init(
        url: String, application: String, options: [String: String] = [:], deadline: Deadline
    ) throws(PostgresError) {
        // Whatever the defaults of server, database and role: who has waited for a lock must see what was committed
        // meanwhile, a transaction may idle, and dates, texts and arrays must be those that are read and written here.
        let settings = options.merging([
            "default_transaction_isolation": "read committed", "idle_in_transaction_session_timeout": "0",
            "datestyle": "ISO", "standard_conforming_strings": "on", "array_nulls": "on",
            // A host that vanishes leaves its locks within a minute. Sockets of one host know none of these.
            "tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
        ]) { asked, _ in asked }
        // The server splits them at spaces that have no backslash before them.
        let flags = settings.sorted { $0.key < $1.key }.map { key, value in
            "-c \(key)=" + value.split(separator: " ", omittingEmptySubsequences: false).joined(separator: "\\ ")
        }
        self.url = url
        let parameters = connectionParameters(url) ?? [:]
        // The server takes the last of two.
        let given = parameters["options"].map { [$0] } ?? []
        let wanted: HostList.Parameters = [
            ("dbname", url), ("application_name", application), ("options", (given + flags).joined(separator: " ")),
            ("client_encoding", "UTF8"), ("keepalives_idle", "30"), ("tcp_user_timeout", "15000"),
        ]
        if let hosts = HostList(url, parameters) {
            try hosts.tryEach(wanted, deadline: deadline, open)
        } else {
            try open(wanted, deadline: deadline)
        }
    }

    /// - Parameter parameters: libpq's, of two with one name the last.
    private func open(_ parameters: HostList.Parameters, deadline: Deadline) throws(PostgresError) {
        handle = withCStrings(parameters.map(\.name)) { names in
            withCStrings(parameters.map(\.value)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard let handle else { throw .unavailable(reason: "libpq has no memory") }
        taproom_pq_silence_notices(handle)
        do throws(PostgresError) {
            try finishConnecting(handle, deadline: deadline)
        } catch {
            close()
            throw error
        }
        PQsetnonblocking(handle, 0)
    }

    deinit { close() }

    private func close() {
        guard let handle else { return }
        PQfinish(handle)
        self.handle = nil
    }

    private func finishConnecting(_ handle: OpaquePointer, deadline: Deadline) throws(PostgresError) {
        if PQstatus(handle) == CONNECTION_BAD { throw .unavailable(reason: message(handle)) }
        var wanted = PGRES_POLLING_WRITING
        while wanted != PGRES_POLLING_OK {
            let events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard wait(for: events, deadline: deadline) else { throw .unavailable(reason: "no session in time") }
            wanted = PQconnectPoll(handle)
            if wanted == PGRES_POLLING_FAILED { throw .unavailable(reason: message(handle)) }
        }
    }

    /// False once the session is broken or closed.
    public var isUsable: Bool {
        guard let handle else { return false }
        return PQstatus(handle) == CONNECTION_OK
    }

    /// Whether an idle session is still there, without a round trip: a server that went has left its farewell or an
    /// end of file on the socket. The farewell comes first, so anything at all to read counts as an end; what else a
    /// server says unasked, such as a changed setting, costs no more than a new session.
    func isAlive() -> Bool {
        guard let handle, PQstatus(handle) == CONNECTION_OK else { return false }
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, 0) == 0
    }

    var isIdle: Bool { handle.map { PQtransactionStatus($0) == PQTRANS_IDLE } ?? false }

    /// Whether a statement of the open transaction failed: it can only be rolled back.
    var isInFailedTransaction: Bool { handle.map { PQtransactionStatus($0) == PQTRANS_INERROR } ?? false }

    // MARK: Statements

    /// Runs one statement, prepared on its first use in this session.
    /// - Throws: also for a parameter with a NUL, which libpq would cut there without a word.
    @discardableResult
    public func execute(_ sql: SQL, deadline: Deadline) throws(PostgresError) -> Rows {
        guard !sql.parameters.contains(where: { $0?.utf8.contains(0) ?? false }) else {
            throw .refused(.nulInParameter(of: sql.text))
        }
        guard let name = prepared[sql.text] else {
            return try execute(prepared: prepare(sql.text, deadline: deadline), sql, deadline: deadline)
        }
        do throws(PostgresError) {
            return try execute(prepared: name, sql, deadline: deadline)
        } catch {
            if error.isOfStaleStatement { prepared[sql.text] = nil }
            guard error.isOfStaleStatement, isIdle else { throw error }
            return try execute(prepared: prepare(sql.text, deadline: deadline), sql, deadline: deadline)
        }
    }

    private func prepare(_ text: String, deadline: Deadline) throws(PostgresError) -> String {
        let open = try session(text)
        let name = "s\(preparations)"
        preparations += 1
        guard PQsendPrepare(open, name, text, 0, nil) == 1 else { throw lost(text) }
        _ = try finish(text, deadline: deadline)
        prepared[text] = name
        return name
    }

    private func execute(prepared name: String, _ sql: SQL, deadline: Deadline) throws(PostgresError) -> Rows {
        let open = try session(sql.text)
        let sent = withCStrings(sql.parameters) { values in
            PQsendQueryPrepared(open, name, Int32(sql.parameters.count), values, nil, nil, 0)
        }
        guard sent == 1 else { throw lost(sql.text) }
        return try finish(sql.text, deadline: deadline)
    }

    /// Runs a script of any number of statements, in one implicit transaction unless it holds its own BEGIN.
    /// Parameters are not possible here. The rows are those of the last statement.
    @discardableResult
    public func run(script: String, deadline: Deadline) throws(PostgresError) -> Rows {
        let open = try session(script)
        guard PQsendQuery(open, script) == 1 else { throw lost(script) }
        return try finish(script, deadline: deadline)
    }

    /// Streams `COPY … TO STDOUT`: `receive` gets the bytes of one row at a time, without a copy, valid until it
    /// returns. Memory does not grow with the number of rows. When `receive` throws, the session is closed.
    public func copyOut(
        _ statement: String, deadline: Deadline, receive: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let open = try session(statement)
        guard PQsendQuery(open, statement) == 1 else { throw lost(statement) }
        try awaitResult(open, statement, deadline: deadline)
        guard let begin = PQgetResult(open) else { throw lost(statement) }
        guard PQresultStatus(begin) == PGRES_COPY_OUT else {
            let failure = self.failure(begin, statement)
            PQclear(begin)
            _ = try? finish(statement, deadline: deadline)
            throw failure
        }
        PQclear(begin)
        do {
            while try copyRow(open, statement, deadline: deadline, receive: receive) {}
        } catch {
            cancel()
            throw error
        }
        _ = try finish(statement, deadline: deadline)
    }

    private func copyRow(
        _ open: OpaquePointer, _ statement: String, deadline: Deadline,
        receive: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Bool {
        var buffer: UnsafeMutablePointer<CChar>?
        let length = PQgetCopyData(open, &buffer, 1)
        if length > 0, let buffer {
            defer { PQfreemem(buffer) }
            try receive(UnsafeRawBufferPointer(start: buffer, count: Int(length)))
            return true
        }
        if length == -1 { return false }
        guard length == 0 else { throw lost(statement) }
        guard wait(for: POLLIN, deadline: deadline) else { throw PostgresError.timedOut(statement: statement) }
        guard PQconsumeInput(open) == 1 else { throw lost(statement) }
        return true
    }

    // MARK: Waiting

    private func session(_ statement: String) throws(PostgresError) -> OpaquePointer {
        guard let handle else { throw .connectionLost(statement: statement, reason: "the session is closed") }
        return handle
    }

    /// Collects every result of what was sent; the last one is the answer, the first failure is thrown.
    private func finish(_ statement: String, deadline: Deadline) throws(PostgresError) -> Rows {
        let open = try session(statement)
        var last: Rows?
        var failed: PostgresError?
        while true {
            try awaitResult(open, statement, deadline: deadline)
            guard let result = PQgetResult(open) else { break }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                last = Rows(owning: result, statement: statement)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                // libpq hands out this result for ever, until the data has been moved; closing is the way out.
                PQclear(result)
                close()
                throw .unexpectedResult(statement: statement, reason: "COPY moves data that nobody here sends or takes")
            default:
                failed = failed ?? failure(result, statement)
                PQclear(result)
                // A session keeps the read-only default it was opened under; a new one may be let write.
                let takesNoWrites = failed?.sqlState == SQLState.readOnlySQLTransaction
                if takesNoWrites { HostList.forgetLast(of: url) }
                if PQstatus(open) != CONNECTION_OK || takesNoWrites { close() }
                if handle == nil { throw failed ?? lost(statement) }
            }
        }
        if let failed { throw failed }
        guard let last else { throw lost(statement) }
        return last
    }

    private func awaitResult(_ open: OpaquePointer, _ statement: String, deadline: Deadline) throws(PostgresError) {
        while PQisBusy(open) == 1 {
            guard wait(for: POLLIN, deadline: deadline) else {
                cancel()
                throw .timedOut(statement: statement)
            }
            guard PQconsumeInput(open) == 1 else { throw lost(statement) }
        }
    }

    private func wait(for events: Int32, deadline: Deadline) -> Bool {
        guard let handle else { return false }
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
        while true {
            let ready = poll(&descriptor, 1, deadline == .never ? -1 : Int32(deadline.remainingMilliseconds))
            if ready > 0 { return true }
            if ready == 0, deadline.hasPassed { return false }
            if ready < 0, errno != EINTR { return true }
        }
    }

    /// Asks the server to stop what it does, then closes: the statement does not go on after its caller has left.
    private func cancel() {
        if let handle, let request = PQgetCancel(handle) { Cancellation.send(request) }
        close()
    }

    // MARK: Errors

    private func lost(_ statement: String) -> PostgresError {
        let reason = handle.map { message($0) } ?? "the session is closed"
        close()
        return .connectionLost(statement: statement, reason: reason)
    }

    private func failure(_ result: OpaquePointer, _ statement: String) -> PostgresError {
        func field(_ read: (OpaquePointer) -> UnsafePointer<CChar>?) -> String? {
            read(result).map { String(cString: $0) }
        }
        // A broken session reports an error without SQLSTATE; these are the server's farewells.
        let farewells = [SQLState.adminShutdown, SQLState.crashShutdown, SQLState.cannotConnectNow]
        guard let state = field({ taproom_pq_sqlstate($0) }), !farewells.contains(state),
            !state.hasPrefix(SQLState.Class.connectionException)
        else {
            return .connectionLost(statement: statement, reason: String(cString: PQresultErrorMessage(result)))
        }
        return .refused(
            .init(
                sqlState: state,
                message: field { taproom_pq_message($0) } ?? "",
                detail: field { taproom_pq_detail($0) },
                hint: field { taproom_pq_hint($0) },
                constraint: field { taproom_pq_constraint($0) },
                position: field { taproom_pq_position($0) }.flatMap { Int($0) },
                statement: statement))
    }

    private func message(_ handle: OpaquePointer) -> String {
        let text = String(cString: PQerrorMessage(handle))
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}
