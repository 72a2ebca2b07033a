#if FAULT_POINTS
    import Glibc
#endif

/// A named place at which a test build dies or stands still, so that tests can break work between any two steps.
///
/// A debug build looks for the file `fault` beside its executable, whose text is `kill NAME` or `hold NAME`: at that
/// place the process sends itself SIGKILL, or waits until the file says something else. Release builds have none of
/// this: FAULT_POINTS is not defined for them.
package struct FaultPoint: Sendable {
    private let name: String

    package init(_ name: String) { self.name = name }

    #if FAULT_POINTS
        package func reach() {
            var isHeld = false
            while true {
                switch Self.order() {
                case "kill \(name)": kill(getpid(), SIGKILL)
                case "hold \(name)":
                    if !isHeld {
                        let line = "{\"held\":\"\(name)\"}\n"
                        write(2, line, line.utf8.count)
                    }
                    isHeld = true
                    usleep(5000)
                default: return
                }
            }
        }

        private static func order() -> String? {
            guard let path, let file = fopen(path, "r") else { return nil }
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = fread(&bytes, 1, bytes.count, file)
            return String(decoding: bytes.prefix(count), as: UTF8.self)
        }

        private static let path: String? = {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = readlink("/proc/self/exe", &bytes, bytes.count)
            guard count > 0, let slash = bytes.prefix(count).lastIndex(of: UInt8(ascii: "/")) else { return nil }
            return String(decoding: bytes[...slash], as: UTF8.self) + "fault"
        }()
    #else
        package func reach() {}
    #endif
}
