internal import Crypto
internal import FoundationEssentials

/// The request ids of a charge run: the same for a month and a subscription however often the run is started, so that
/// starting again repeats requests and never adds one.
public enum RunRequestID {
    /// `run:<period>:<subscription>`, or a digest in the place of a subscription id that does not fit the rule of
    /// request ids: 1 to 128 of `A–Z a–z 0–9 . _ : -`.
    public static func of(period: String, subscription: String) -> String {
        let plain = "run:\(period):\(subscription)"
        if plain.utf8.count <= 128, !subscription.isEmpty, plain.utf8.allSatisfy(isAllowed) { return plain }
        // 64 digits: longer than any subscription id, so it is the plain form of no other.
        let digest = SHA256.hash(data: Data(subscription.utf8))
        return "run:\(period):" + digest.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
