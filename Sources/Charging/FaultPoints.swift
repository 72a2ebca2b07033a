import Runtime

/// Where tests break a charge.
extension FaultPoint {
    /// Nothing is written yet.
    static let beforeBegin = FaultPoint("charge.before-begin")
    /// The pending row is committed, nothing is sent.
    static let afterBegin = FaultPoint("charge.after-begin")
    /// The platform's answer is here, or the lack of one is known; nothing is recorded.
    static let beforeFinish = FaultPoint("charge.before-finish")
    /// The outcome is committed, the client has no answer.
    static let afterFinish = FaultPoint("charge.after-finish")
}
