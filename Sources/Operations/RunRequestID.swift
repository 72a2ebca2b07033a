import Digests
import Runtime

/// The request ids of a charge run: the same for a month and a subscription however often the run is started, so that
/// starting again repeats requests and never adds one.
enum RunRequestID {
    /// `run:<period>:<subscription>` and, after the first, `run-<number>:<period>:<subscription>`; a digest stands in
    /// the place of a subscription id that does not fit the rule of request ids.
    static func of(period: String, subscription: String, number: Int = 1) -> String {
        id(number == 1 ? "run:\(period):" : "run-\(number):\(period):", subscription)
    }

    /// The ids to send, one after the other while each belongs to the charge of another subscription, such as one that
    /// had this id before and was renamed.
    /// - Parameter used: those of which the platform may remember something else: the order that it made for a
    ///   subscription which is gone, or that it declined.
    static func candidates(period: String, subscription: String, besides used: Set<String>) -> some Sequence<String> {
        (1...).lazy.map { of(period: period, subscription: subscription, number: $0) }.filter { !used.contains($0) }
    }

    private static func id(_ prefix: String, _ subscription: String) -> String {
        let plain = prefix + subscription
        if !subscription.isEmpty, Identifier.isPlatformRequestID(plain) { return plain }
        // 64 digits: longer than any subscription id, so it is the plain form of no other.
        return prefix + Hexadecimal.encode(Digest.sha256(subscription.utf8))
    }
}
