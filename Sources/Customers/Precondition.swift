public import Runtime

extension Customer {
    /// Its strong ETag: the version in quotes.
    var entityTag: String { "\"\(version)\"" }
}

/// Which versions of a customer a request may change, after its If-Match (RFC 9110, section 13.1.1).
public enum Precondition: Sendable, Equatable {
    /// Without If-Match, or with `*`: whichever there is.
    case none
    /// One of these tags. Comparison is strong, so weak tags are not in it; nor is anything that is not a tag at all,
    /// which leaves a set that nothing matches.
    case oneOf(Set<String>)

    public init(_ event: HTTPEvent) {
        guard let header = event.header("if-match") else {
            self = .none
            return
        }
        self.init(ifMatch: header)
    }

    init(ifMatch header: String) {
        var rest = header[...]
        func skip(_ characters: String) { rest = rest.drop { characters.contains($0) } }
        skip(" \t")
        if rest.first == "*" {
            rest.removeFirst()
            skip(" \t")
            self = rest.isEmpty ? .none : .oneOf([])
            return
        }
        var tags: Set<String> = []
        while true {
            skip(" \t,")
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { break }
            if !isWeak { tags.insert(String(rest[...end])) }
            rest = rest[rest.index(after: end)...]
        }
        self = .oneOf(tags)
    }

    /// - Throws: 412 `precondition-failed`.
    func check(_ customer: Customer) throws(Problem) {
        guard case .oneOf(let tags) = self, !tags.contains(customer.entityTag) else { return }
        throw CustomerProblem.changedMeanwhile(customer)
    }
}
