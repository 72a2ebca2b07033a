import Glibc
public import Postgres
public import Runtime

/// Makes the read model anew from the events alone.
public struct CustomerRebuild {
    private let reader: Connection
    private let writer: Connection

    private static let batch = 1000
    /// With the pauses between them, one to two minutes.
    private static let attempts = 10

    /// - Parameters: two sessions without statement time-out, outside a transaction, of the owner of the tables. The
    ///   caller closes them.
    public init(reader: Connection, writer: Connection) {
        self.reader = reader
        self.writer = writer
    }

    /// A table is filled beside the one in use and takes its place and its privileges in the end. Readers see the one
    /// or the other whole. Writers wait only while the versions of all streams are compared and the last of what they
    /// wrote meanwhile is caught up with; and where a transaction that uses the table does not end, readers wait for at
    /// most two seconds at a time, writers for that comparison besides. Memory does not grow with the number of
    /// customers.
    /// - Returns: how many customers there are.
    /// - Throws: when another rebuild is under way, for events that make no customer, when something depends on the
    ///   table in use, or when it is in use for one to two minutes: it stays then, and what was filled is gone.
    public func run(deadline: Deadline) throws -> Int {
        let isAlone = try writer.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('customer rebuild', 0))", deadline: deadline)[0]
            .decode(Bool.self)
        guard isAlone else { throw AlreadyRunning() }
        let dependents = try writer.execute(Self.dependents, deadline: deadline).map { try $0.decode(String.self) }
        guard dependents.isEmpty else { throw DependedOn(by: dependents) }
        do {
            try writer.run(script: Self.begin, deadline: deadline)
            try fill(deadline: deadline)
            try writer.run(script: Self.index, deadline: deadline)
            try takePlace(deadline: deadline)
        } catch {
            _ = try? writer.run(
                script: "DROP TABLE IF EXISTS customer_rebuilt", deadline: .after(milliseconds: 5000))
            throw error
        }
        return try writer.execute("SELECT count(*) FROM customer", deadline: deadline)[0].decode(Int.self)
    }

    /// Another rebuild has the table that this one would fill.
    struct AlreadyRunning: Error, CustomStringConvertible {
        let description = "another rebuild of the customers is under way: wait for it"
    }

    /// What would go with the table in use.
    struct DependedOn: Error, CustomStringConvertible {
        let description: String

        init(by dependents: [String]) {
            description = """
                nothing was rebuilt: a new table takes the place of “customer”, and this would go with the old one: \
                \(dependents.joined(separator: ", ")). Drop it, and make it again after the rebuild
                """
        }
    }

    /// Somebody's transaction has used the table all the time.
    struct InUse: Error, CustomStringConvertible {
        let description: String

        init(by holders: [String]) {
            description = """
                the list stays as it was: there was no moment in which no transaction used it. Wait until this one has \
                ended, and begin again: \(holders.isEmpty ? "unknown" : holders.joined(separator: ", "))
                """
        }
    }

    /// Folds every stream. Each page is read by itself, so that no snapshot is held for long.
    private func fill(deadline: Deadline) throws {
        var place = (stream: "", version: 0)
        var current: Customer?
        var done: [Customer] = []
        while true {
            let page = try reader.execute(
                """
                SELECT stream, version, type, data, recorded_at FROM customer_event
                WHERE (stream, version) > (\(place.stream), \(place.version)) ORDER BY stream, version
                LIMIT \(Self.batch)
                """, deadline: deadline
            ).map(CustomerStream.recorded)
            for recorded in page {
                if let finished = current, finished.id != recorded.stream {
                    done.append(finished)
                    current = nil
                }
                current = Customer.following(current, recorded)
                if current == nil { throw InconsistentHistory(recorded.stream) }
            }
            guard let last = page.last else { break }
            place = (last.stream, last.version)
            try write(&done, deadline: deadline)
        }
        if let finished = current { done.append(finished) }
        try write(&done, deadline: deadline)
    }

    /// The streams that have events which the new table lacks, or none any more. Every event is looked at: no position or
    /// time tells those of a transaction that commits late.
    private func catchUp(deadline: Deadline) throws {
        let late = try writer.execute(
            """
            SELECT e.stream FROM (SELECT stream, max(version) AS version FROM customer_event GROUP BY stream) e
            LEFT JOIN customer_rebuilt c ON c.id = e.stream
            WHERE c.version IS DISTINCT FROM e.version
            """, deadline: deadline)
        let stream = CustomerStream(connection: writer, deadline: deadline)
        for row in late {
            guard let customer = try stream.customer(row.decode(String.self)) else { continue }
            try CustomerProjection.write([customer], in: .rebuilt, writer, deadline: deadline)
        }
        // Whose events somebody has deleted meanwhile.
        try writer.execute(
            """
            DELETE FROM customer_rebuilt c WHERE NOT EXISTS (SELECT FROM customer_event e WHERE e.stream = c.id)
            """, deadline: deadline)
    }

    /// Whoever has used the table is in the way until its transaction ends, and who comes later waits behind this. So
    /// it waits for moments only, and everybody goes on in between. Those of more than a second are for autovacuum,
    /// which the server ends after one.
    private func takePlace(deadline: Deadline) throws {
        for attempt in 0... {
            // What was written until here takes no time of those who wait for the lock.
            try catchUp(deadline: deadline)
            do {
                return try writer.transaction(deadline: deadline) { writer in
                    // Whoever appends holds this until its commit; who only reads is not kept out.
                    try writer.run(
                        script: """
                            SET LOCAL lock_timeout = \(min(200 << attempt, 1600));
                            LOCK TABLE customer_event IN SHARE ROW EXCLUSIVE MODE
                            """, deadline: deadline)
                    try catchUp(deadline: deadline)
                    try writer.run(script: Self.swap, deadline: deadline)
                }
            } catch let error as PostgresError where error.sqlState == SQLState.lockNotAvailable {
                let pause = min(500 << attempt, 10_000)
                guard attempt + 1 < Self.attempts, deadline.remainingMilliseconds > pause else {
                    throw InUse(
                        by: try writer.execute(Self.holders, deadline: deadline).map { try $0.decode(String.self) })
                }
                usleep(UInt32(1000 * pause))
            }
        }
    }

    private func write(_ customers: inout [Customer], deadline: Deadline) throws {
        guard !customers.isEmpty else { return }
        try CustomerProjection.write(customers, in: .rebuilt, writer, deadline: deadline)
        customers.removeAll(keepingCapacity: true)
    }

    /// All but what the new table gets of its own accord: indexes, defaults and whether a column takes NULL.
    private static let dependents: SQL = """
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_class c JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
            OR d.refclassid = 'pg_type'::regclass AND d.refobjid = c.reltype
        WHERE c.oid = 'customer'::regclass AND d.deptype IN ('n', 'a')
            AND d.classid <> 'pg_attrdef'::regclass AND d.objid <> c.oid
            AND NOT EXISTS (
                SELECT FROM pg_index i
                WHERE d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid AND i.indrelid = c.oid)
            AND NOT EXISTS (
                SELECT FROM pg_constraint n
                WHERE d.classid = 'pg_constraint'::regclass AND n.oid = d.objid AND n.contype = 'n')
        ORDER BY 1
        """

    /// Whose transactions have used the table, or written events, for a second or more.
    private static let holders: SQL = """
        SELECT DISTINCT coalesce('process ' || l.pid, 'a prepared transaction')
            || coalesce(' (' || nullif(a.application_name, '') || ')', '')
        FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.granted AND (l.relation = 'customer'::regclass
                OR l.relation = 'customer_event'::regclass AND l.mode <> 'AccessShareLock')
            AND (a.xact_start < clock_timestamp() - interval '1 second') IS NOT FALSE
        ORDER BY 1
        """

    /// Nobody else may read it, whatever the default privileges.
    private static let begin = """
        DROP TABLE IF EXISTS customer_rebuilt;
        CREATE TABLE customer_rebuilt (LIKE customer INCLUDING DEFAULTS INCLUDING GENERATED) WITH (fillfactor = 80);
        DO $$ DECLARE command text; BEGIN
            FOR command IN
                SELECT format('REVOKE ALL ON customer_rebuilt FROM %s',
                    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
                FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.oid = 'customer_rebuilt'::regclass AND a.grantee <> c.relowner
            LOOP
                EXECUTE command;
            END LOOP;
        END $$;
        CREATE UNIQUE INDEX rebuilt_customer_id ON customer_rebuilt (id);
        """

    /// The rows in the order of their numbers, as they come about, and the other indexes of the table in use.
    private static let index = """
        CREATE UNIQUE INDEX rebuilt_customer_by_number ON customer_rebuilt (number);
        CLUSTER customer_rebuilt USING rebuilt_customer_by_number;
        ALTER TABLE customer_rebuilt SET WITHOUT CLUSTER;
        DO $$ DECLARE definition text; BEGIN
            FOR definition IN
                SELECT regexp_replace(indexdef, 'INDEX (\\S+) ON (\\S+) ', 'INDEX rebuilt_\\1 ON customer_rebuilt ')
                FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'customer'
                    AND indexname NOT IN ('customer_id', 'customer_by_number')
            LOOP
                EXECUTE definition;
            END LOOP;
        END $$;
        ANALYZE customer_rebuilt;
        """

    private static let swap = """
        LOCK TABLE customer IN ACCESS EXCLUSIVE MODE;
        DO $$ DECLARE command text; BEGIN
            FOR command IN
                SELECT format('GRANT %s%s ON customer_rebuilt TO %s%s', a.privilege_type, ' (' || a.attname || ')',
                    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
                FROM (SELECT p.*, NULL AS attname FROM pg_class c, aclexplode(c.relacl) p
                      WHERE c.oid = 'customer'::regclass
                      UNION ALL
                      SELECT p.*, quote_ident(c.attname) FROM pg_attribute c, aclexplode(c.attacl) p
                      WHERE c.attrelid = 'customer'::regclass AND NOT c.attisdropped) a
            LOOP
                EXECUTE command;
            END LOOP;
        END $$;
        DROP TABLE customer;
        ALTER TABLE customer_rebuilt RENAME TO customer;
        DO $$ DECLARE index_name text; BEGIN
            FOR index_name IN
                SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'customer'
            LOOP
                EXECUTE format('ALTER INDEX %I RENAME TO %I', index_name, substr(index_name, length('rebuilt_') + 1));
            END LOOP;
        END $$;
        """
}
