import CLinux
import Glibc

/// The kernel's random numbers, fetched 512 at a time: a request needs a handful, and each fetch is a system call.
struct Entropy: RandomNumberGenerator {
    private static let store = Lock<[UInt64]>([])

    mutating func next() -> UInt64 {
        Self.store.withLock { words in
            if words.isEmpty {
                words = Array(unsafeUninitializedCapacity: 512) { buffer, count in
                    // Whole and at once up to 256 bytes, so in pieces of that; it fails only where the call is unknown.
                    let bytes = UnsafeMutableRawBufferPointer(buffer)
                    for offset in stride(from: 0, to: bytes.count, by: 256) {
                        let fetched = getrandom(bytes.baseAddress.unsafelyUnwrapped + offset, 256, 0)
                        precondition(fetched == 256, "the kernel gives no random numbers")
                    }
                    count = 512
                }
            }
            return words.removeLast()
        }
    }
}
