import Glibc
import Logging
import Runtime

/// The circuits of one process, one per host. Every change is logged with the process id, which is what
/// `taproom status` shows.
final class CircuitBoard: Sendable {
    private let circuits = Lock<[Substring: Circuit]>([:])

    func admit(_ host: Substring, _ logger: Logger?) -> Circuit.Admission {
        let (admission, word, isChanged) = change(host) { $0.admit(now: Clock.monotonicNanoseconds()) }
        if isChanged {
            logger?.warning("one call goes out to see whether \(host) is back", metadata: Self.facts(host, word))
        } else if case .refused(let seconds) = admission {
            // Said each time: whoever reads only the end of a busy log still learns the state.
            logger?.warning("call to \(host) refused for \(seconds) s", metadata: Self.facts(host, word))
        }
        return admission
    }

    func refuses(_ host: Substring) -> Bool {
        circuits.withLock { $0[host]?.refuses(now: Clock.monotonicNanoseconds()) ?? false }
    }

    func note(_ host: Substring, _ finding: Exchange.Finding, _ logger: Logger?) {
        let (_, word, isChanged) = change(host) {
            let now = Clock.monotonicNanoseconds()
            switch finding {
            case .reached: $0.note(isFailure: false, now: now)
            case .late, .unreached: $0.note(isFailure: true, now: now)
            case .nothing: $0.noteNothing(now: now)
            }
        }
        guard isChanged else { return }
        let reason =
            switch finding {
            case .reached: "\(host) answers again"
            case .late, .unreached: "calls to \(host) are refused: it cannot be reached or does not answer in time"
            case .nothing: "the call to \(host) says nothing about it: the next one goes out to see"
            }
        logger?.warning("\(reason)", metadata: Self.facts(host, word))
    }

    private func change<Value>(
        _ host: Substring, _ body: (inout Circuit) -> Value
    ) -> (value: Value, word: String, isChanged: Bool) {
        circuits.withLock { circuits in
            var circuit = circuits[host] ?? Circuit()
            let before = circuit.word
            let value = body(&circuit)
            circuits[host] = circuit
            return (value, circuit.word, circuit.word != before)
        }
    }

    private static func facts(_ host: Substring, _ word: String) -> Logger.Metadata {
        ["circuit": "\(word)", "host": "\(host)", "pid": "\(getpid())"]
    }

    /// Host and port as the URL spells them.
    static func host(of url: String) -> Substring {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count > 2, parts[1].isEmpty else { return Substring(url) }
        let authority = parts[2].prefix { $0 != "?" && $0 != "#" }
        return authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    }
}
