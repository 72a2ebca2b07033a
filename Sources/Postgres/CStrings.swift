import Glibc

/// Calls `body` with the array of C strings that libpq takes, terminated by NULL; `nil` stays NULL. The pointers are
/// valid until it returns.
func withCStrings<Result>(
    _ strings: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    // One block for all texts: a statement has a handful of short parameters, and this is the path of every request.
    let size = strings.reduce(1) { $0 + ($1?.utf8.count ?? 0) + 1 }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { texts in
        withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: strings.count + 1) { pointers in
            var offset = 0
            for (index, string) in strings.enumerated() {
                guard var string else {
                    pointers.initializeElement(at: index, to: nil)
                    continue
                }
                let start = texts.baseAddress.unsafelyUnwrapped + offset
                string.withUTF8 { bytes in
                    if let base = bytes.baseAddress { memcpy(start, base, bytes.count) }
                    start[bytes.count] = 0
                    offset += bytes.count + 1
                }
                pointers.initializeElement(at: index, to: UnsafePointer(start))
            }
            pointers.initializeElement(at: strings.count, to: nil)
            return body(UnsafePointer(pointers.baseAddress.unsafelyUnwrapped))
        }
    }
}
