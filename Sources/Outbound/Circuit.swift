/// The state of the calls to one host: after some calls in a row that found nobody or no answer in time, calls are
/// refused for a while, then one is let through to see.
///
/// A pure value; the caller brings the time, in nanoseconds of a clock that only goes forward.
struct Circuit: Sendable, Equatable {
    enum State: Sendable, Equatable {
        /// Calls go out; so many in a row have failed.
        case closed(failures: Int)
        /// Calls are refused until that instant; the next one after it is let through.
        case open(until: UInt64)
        /// One call is out to see, others are refused.
        case halfOpen
    }

    private(set) var state = State.closed(failures: 0)

    /// Failed calls in a row that open it.
    static let threshold = 5
    /// How long it refuses before it lets one call through.
    static let openNanoseconds: UInt64 = 10_000_000_000

    enum Admission: Equatable {
        case admitted
        /// Whole seconds, at least 1, after which to ask again.
        case refused(retryAfter: Int)
    }

    /// Asks whether a call may go out. Whoever is admitted says afterwards how it ended.
    mutating func admit(now: UInt64) -> Admission {
        switch state {
        case .closed: return .admitted
        case .open(let until) where now >= until:
            state = .halfOpen
            return .admitted
        case .open(let until): return .refused(retryAfter: Int((until - now - 1) / 1_000_000_000) + 1)
        case .halfOpen: return .refused(retryAfter: 1)
        }
    }

    /// Whether a call that asked now would be refused. Asking changes nothing.
    func refuses(now: UInt64) -> Bool {
        switch state {
        case .closed: false
        case .open(let until): now < until
        case .halfOpen: true
        }
    }

    /// Notes the end of a call: whether the host was found and, if it answered at all, was in time.
    mutating func note(isFailure: Bool, now: UInt64) {
        switch state {
        case .closed(let failures) where isFailure && failures + 1 < Self.threshold:
            state = .closed(failures: failures + 1)
        case .closed where isFailure, .halfOpen where isFailure: state = .open(until: now + Self.openNanoseconds)
        case .closed, .halfOpen: state = .closed(failures: 0)
        // A call that went out before it opened: what it found is old.
        case .open: break
        }
    }

    /// Notes the end of a call that says nothing about the host: if it went out to see, the next one does.
    mutating func noteNothing(now: UInt64) {
        if state == .halfOpen { state = .open(until: now) }
    }

    /// The word for logs and people.
    var word: String {
        switch state {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half-open"
        }
    }
}
