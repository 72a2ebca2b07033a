internal import Crypto
internal import FoundationEssentials
internal import Runtime

/// The request ids of a charge run: the same for a month and a subscription however often the run is started, so that
/// starting again repeats requests and never adds one.
public enum RunRequestID {
    /// `run:<period>:<subscription>`, or a digest in the place of a subscription id that does not fit the rule of
    /// request ids.
    public static func of(period: String, subscription: String) -> String {
        id("run:\(period):", subscription)
    }

    /// The one to send when the first belongs to the charge of a subscription that had this id before and was renamed.
    static func second(period: String, subscription: String) -> String {
        id("run-2:\(period):", subscription)
    }

    private static func id(_ prefix: String, _ subscription: String) -> String {
        let plain = prefix + subscription
        if !subscription.isEmpty, Identifier.isPlatformRequestID(plain) { return plain }
        // 64 digits: longer than any subscription id, so it is the plain form of no other.
        return prefix + Hexadecimal.encode(SHA256.hash(data: Data(subscription.utf8)))
    }
}
