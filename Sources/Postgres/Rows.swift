import CPostgres

/// The rows of one statement. It owns the result of libpq and frees it when it goes.
public final class Rows: RandomAccessCollection {
    private let result: OpaquePointer
    let statement: String
    public let startIndex = 0
    public let endIndex: Int
    /// Rows that an INSERT, UPDATE, DELETE or MERGE touched, or a SELECT returned; 0 for other statements.
    public let affected: Int

    init(owning result: OpaquePointer, statement: String) {
        self.result = result
        self.statement = statement
        endIndex = Int(PQntuples(result))
        affected = Int(String(cString: PQcmdTuples(result))) ?? 0
    }

    deinit { PQclear(result) }

    public subscript(position: Int) -> Row {
        precondition(indices.contains(position), "row \(position) of \(count)")
        return Row(rows: self, index: position)
    }

    fileprivate var columns: Int { Int(PQnfields(result)) }

    fileprivate func text(row: Int, column: Int) -> String? {
        if PQgetisnull(result, Int32(row), Int32(column)) != 0 { return nil }
        let bytes = UnsafeRawBufferPointer(
            start: PQgetvalue(result, Int32(row), Int32(column)),
            count: Int(PQgetlength(result, Int32(row), Int32(column))))
        return String(decoding: bytes, as: UTF8.self)
    }

    fileprivate func name(column: Int) -> String { String(cString: PQfname(result, Int32(column))) }
}

/// One row; it keeps its result alive.
public struct Row {
    fileprivate let rows: Rows
    fileprivate let index: Int

    /// The columns from left to right, as many as types are named.
    ///
    /// ```swift
    /// let (id, name) = try row.decode(Int.self, String?.self)
    /// ```
    /// - Throws: `PostgresError.unexpectedResult` for NULL where the type is not optional, for text that is not such a
    ///   value, and when the row has another number of columns.
    public func decode<each Column: PostgresColumn>(_ types: repeat (each Column).Type) throws -> (repeat each Column) {
        var column = 0
        func next<T: PostgresColumn>(_ type: T.Type) throws -> T {
            guard column < rows.columns else { throw mismatch("has \(rows.columns) columns, more are expected") }
            defer { column += 1 }
            let text = rows.text(row: index, column: column)
            guard let value = T(postgresColumn: text) else {
                throw mismatch("column \(rows.name(column: column)) holds \(text ?? "NULL"), not \(type)")
            }
            return value
        }
        let values = (repeat try next((each types)))
        guard column == rows.columns else { throw mismatch("has \(rows.columns) columns, \(column) are expected") }
        return values
    }

    private func mismatch(_ reason: String) -> PostgresError {
        .unexpectedResult(statement: rows.statement, reason: reason)
    }
}

/// A column's type: a value, or an optional one for a column that may be NULL.
public protocol PostgresColumn {
    init?(postgresColumn: String?)
}

extension PostgresValue {
    public init?(postgresColumn: String?) {
        guard let postgresColumn else { return nil }
        self.init(postgresText: postgresColumn)
    }
}

extension Optional: PostgresColumn where Wrapped: PostgresValue {
    public init?(postgresColumn: String?) {
        guard let postgresColumn else {
            self = Self.none
            return
        }
        guard let value = Wrapped(postgresText: postgresColumn) else { return nil }
        self = Self.some(value)
    }
}
