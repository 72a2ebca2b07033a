public import Postgres
public import Runtime

/// Makes the read model anew from the events alone.
public struct CustomerRebuild {
    private let reader: Connection
    private let writer: Connection

    private static let batch = 1000

    /// - Parameters: two sessions without statement time-out, outside a transaction, of the owner of the tables. The
    ///   caller closes them.
    public init(reader: Connection, writer: Connection) {
        self.reader = reader
        self.writer = writer
    }

    /// A table is filled beside the one in use and takes its place in the end. Readers are not kept waiting, and see the
    /// one or the other whole; writers wait only while the versions of all streams are compared and the last of what
    /// they wrote meanwhile is caught up with. Memory does not grow with the number of customers.
    /// - Returns: how many customers there are.
    /// - Throws: when another rebuild is under way, or for events that make no customer: the table in use stays then.
    public func run(deadline: Deadline) throws -> Int {
        let isAlone = try writer.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('customer rebuild', 0))", deadline: deadline)[0]
            .decode(Bool.self)
        guard isAlone else { throw AlreadyRunning() }
        try writer.run(script: Self.begin, deadline: deadline)
        try fill(deadline: deadline)
        try writer.run(script: Self.index, deadline: deadline)
        // What was written until here takes no time of those who wait for the lock.
        try catchUp(deadline: deadline)
        try writer.transaction(deadline: deadline) { writer in
            // Whoever appends holds this until its commit; who only reads is not kept out.
            try writer.run(script: "LOCK TABLE customer_event IN SHARE ROW EXCLUSIVE MODE", deadline: deadline)
            try catchUp(deadline: deadline)
            try writer.run(script: Self.swap, deadline: deadline)
        }
        return try writer.execute("SELECT count(*) FROM customer", deadline: deadline)[0].decode(Int.self)
    }

    /// Another rebuild has the table that this one would fill.
    struct AlreadyRunning: Error, CustomStringConvertible {
        let description = "another rebuild of the customers is under way: wait for it"
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
                if let customer = current, customer.id == recorded.stream {
                    guard recorded.version == customer.version + 1 else { throw BrokenStream(recorded.stream) }
                    current = customer.applying(recorded.event)
                } else {
                    if let finished = current { done.append(finished) }
                    guard let first = Customer(recorded) else { throw BrokenStream(recorded.stream) }
                    current = first
                }
            }
            guard let last = page.last else { break }
            place = (last.stream, last.version)
            try write(&done, deadline: deadline)
        }
        if let finished = current { done.append(finished) }
        try write(&done, deadline: deadline)
    }

    /// The streams that have events which the new table lacks. Every event is looked at: no position or time tells those
    /// of a transaction that commits late.
    private func catchUp(deadline: Deadline) throws {
        let late = try writer.execute(
            """
            SELECT e.stream FROM (SELECT stream, max(version) AS version FROM customer_event GROUP BY stream) e
            LEFT JOIN customer_rebuilt c ON c.id = e.stream
            WHERE c.version IS DISTINCT FROM e.version
            """, deadline: deadline)
        let stream = CustomerStream(connection: writer, deadline: deadline)
        for row in late {
            var customers = try [stream.customer(row.decode(String.self))].compactMap { $0 }
            try write(&customers, deadline: deadline)
        }
    }

    private func write(_ customers: inout [Customer], deadline: Deadline) throws {
        guard !customers.isEmpty else { return }
        try CustomerProjection.write(customers, in: .rebuilt, writer, deadline: deadline)
        customers.removeAll(keepingCapacity: true)
    }

    private static let begin = """
        DROP TABLE IF EXISTS customer_rebuilt;
        CREATE TABLE customer_rebuilt (LIKE customer INCLUDING DEFAULTS INCLUDING GENERATED) WITH (fillfactor = 80);
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
