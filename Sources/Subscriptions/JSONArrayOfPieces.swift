import Runtime

/// A JSON array that several threads write at the same time, each from pieces that come as the one column of COPY's
/// binary format.
///
/// `@unchecked Sendable`: the writer is reached only between lock and unlock.
final class JSONArrayOfPieces: @unchecked Sendable {
    /// The signature, two flag fields of four bytes, nothing after them; PostgreSQL sends it with the first row.
    private static let headerSize = 19
    /// Number of columns and size of the column: 2 and 4 bytes.
    private static let rowHeadSize = 6

    private struct State {
        var isEmpty = true
        var failure: (any Error)?
    }

    private let writer: any BodyWriter
    private let state = Lock(State())

    init(_ writer: any BodyWriter) { self.writer = writer }

    /// Adds the rows that `copy` hands over.
    /// - Throws: what `copy` or the writer throws, and what another thread has failed with.
    func append(rowsFrom copy: (_ receive: (UnsafeRawBufferPointer) throws -> Void) throws -> Void) throws {
        var head = Self.headerSize + Self.rowHeadSize
        do {
            try copy { row in
                defer { head = Self.rowHeadSize }
                // The trailer is a number of columns alone.
                if row.count > head { try append(UnsafeRawBufferPointer(rebasing: row.dropFirst(head))) }
            }
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    private func append(_ piece: UnsafeRawBufferPointer) throws {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            do {
                try writer.write(state.isEmpty ? "[" : ",")
                state.isEmpty = false
                try writer.write(piece)
            } catch {
                state.failure = error
                throw error
            }
        }
    }

    func finish() throws { try state.withLock { try writer.write($0.isEmpty ? "[]" : "]") } }
}
