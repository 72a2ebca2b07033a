import Glibc

enum StandardInput {
    /// At most so many bytes; fewer when the input ends before.
    static func read(limit: Int) -> [UInt8] {
        Array(unsafeUninitializedCapacity: limit) { buffer, count in
            count = 0
            while count < limit {
                let read = Glibc.read(STDIN_FILENO, buffer.baseAddress.unsafelyUnwrapped + count, limit - count)
                if read < 0, errno == EINTR { continue }
                guard read > 0 else { break }
                count += read
            }
        }
    }
}

enum StandardOutput {
    /// - Throws: `ClientGone` when not all could be written.
    @Sendable static func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let written = Glibc.write(STDOUT_FILENO, part.baseAddress, part.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw ClientGone() }
            rest = rest.dropFirst(written)
        }
    }

    /// Writes the text and a line feed.
    /// - Throws: `ClientGone` when not all could be written.
    static func write(line: [UInt8]) throws {
        try (line + [UInt8(ascii: "\n")]).withUnsafeBytes(write)
    }
}
