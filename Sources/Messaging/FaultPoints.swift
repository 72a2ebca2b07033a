import Runtime

/// Where tests break the way of an event.
extension FaultPoint {
    /// The relay has read waiting rows; nothing is published.
    static let beforePublish = FaultPoint("relay.before-publish")
    /// Half of a batch is published.
    static let duringPublish = FaultPoint("publish.during")
    /// All of a batch is published, no confirmation is read.
    static let beforeConfirm = FaultPoint("publish.before-confirm")
    /// Everything is confirmed, no row is marked.
    static let beforeMark = FaultPoint("relay.before-mark")
    /// Events are in hand, none is decoded.
    static let beforeDecode = FaultPoint("consumer.before-decode")
    /// The handlers have run, nothing is committed.
    static let beforeCommit = FaultPoint("consumer.before-commit")
    /// The effects are committed, nothing is acknowledged.
    static let afterCommit = FaultPoint("consumer.after-commit")
    /// A failed message is in its next queue, and still in the one it came from.
    static let beforeRetryAcknowledge = FaultPoint("consumer.before-retry-acknowledge")
    /// A dead letter is back in its work queue, and still a dead letter.
    static let beforeRedriveAcknowledge = FaultPoint("redrive.before-acknowledge")
}
