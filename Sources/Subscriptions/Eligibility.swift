public import Postgres
public import Runtime

/// Which subscriptions may be charged now: ACTIVE, in a club that is ACTIVE or CLOSED.
public struct Eligibility: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    /// At most `limit` ids greater than `after`, in order of id.
    public func page(after: String?, limit: Int, deadline: Deadline) throws -> [String] {
        try database.execute(
            "SELECT id FROM eligible_page(now() AT TIME ZONE 'UTC', \(after)::varchar, \(limit)) e(id)",
            deadline: deadline
        ).map { try $0.decode(String.self) }
    }

    /// Writes all of them as a JSON array while the database delivers them; memory does not grow with their number.
    /// Nothing is written when the database fails before the first row.
    public func writeAll(to writer: any BodyWriter, deadline: Deadline) throws {
        try database.withConnection(deadline: deadline) { connection in
            // The answer is right without it; but what others left unsettled costs every reader its time.
            try connection.execute("SELECT settle_subscriptions(10000)", deadline: deadline)
            var array = JSONArrayOfPieces()
            try connection.copyOut(
                "COPY (SELECT * FROM eligible_in_json(now() AT TIME ZONE 'UTC')) TO STDOUT (FORMAT binary)",
                deadline: deadline
            ) { row in try array.append(row, to: writer) }
            try array.finish(to: writer)
        }
    }
}

/// Joins the pieces of a JSON array that come as the one column of COPY's binary format.
struct JSONArrayOfPieces {
    /// The signature, two flag fields of four bytes, nothing after them; PostgreSQL sends it with the first row.
    private static let headerSize = 19
    /// Number of columns and size of the column: 2 and 4 bytes.
    private static let rowHeadSize = 6

    private var hasHeader = false
    private var isEmpty = true

    mutating func append(_ row: UnsafeRawBufferPointer, to writer: any BodyWriter) throws {
        var rest = row[...]
        if !hasHeader {
            rest = rest.dropFirst(Self.headerSize)
            hasHeader = true
        }
        // The trailer is a number of columns alone.
        guard rest.count > Self.rowHeadSize else { return }
        try writer.write(isEmpty ? "[" : ",")
        isEmpty = false
        try writer.write(UnsafeRawBufferPointer(rebasing: rest.dropFirst(Self.rowHeadSize)))
    }

    func finish(to writer: any BodyWriter) throws { try writer.write(isEmpty ? "[]" : "]") }
}
