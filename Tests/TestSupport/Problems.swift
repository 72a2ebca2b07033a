public import Runtime

/// The problem that `body` ends with; `nil` when it succeeds, or throws what is no problem.
public func problem(_ body: () throws -> Void) -> Problem? {
    do {
        try body()
        return nil
    } catch {
        return (error as? any ProblemConvertible)?.problem
    }
}
