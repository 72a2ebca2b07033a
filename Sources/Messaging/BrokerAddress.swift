public import Runtime

/// Where a RabbitMQ node is and who asks: an AMQP URI, taken apart. It never shows its password.
public struct BrokerAddress: Sendable, Equatable {
    public let host: String
    public let port: Int
    let virtualHost: String
    let user: String
    let password: String

    /// What error messages name the node by.
    public var place: String { "\(host):\(port)" }

    /// - Parameter uri: `amqp://user:password@host:port/vhost`; the port is 5672 unless given, the virtual host `/`
    ///   unless given. User, password and virtual host are percent-encoded.
    /// - Throws: `BrokerError.badAddress`, which says what is wrong and holds nothing of the password.
    public init(_ uri: String) throws(BrokerError) {
        let scheme = "amqp://"
        guard uri.hasPrefix(scheme) else {
            throw .badAddress("it must begin with amqp:// (TLS is not spoken here)")
        }
        let rest = uri.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(authority.count).dropFirst()
        guard !path.contains("?"), !path.contains("/") else {
            throw .badAddress("after the host it takes nothing but the virtual host, with its slashes written as %2F")
        }
        guard let at = authority.lastIndex(of: "@") else { throw .badAddress("it names no user and password") }
        let credentials = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard credentials.count == 2, !credentials[0].isEmpty else {
            throw .badAddress("before the @ it must say user:password")
        }
        var host = authority[authority.index(after: at)...]
        var port = 5672
        if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") {
            guard let number = Int(host[host.index(after: colon)...]), (1...65535).contains(number) else {
                throw .badAddress("its port must be a number from 1 to 65535")
            }
            port = number
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw .badAddress("it names no host") }
        let decoded = (credentials + [path]).map { PercentEncoding.decode($0) }
        guard let user = decoded[0], let password = decoded[1], let virtualHost = decoded[2],
            ![user, password, virtualHost].contains(where: { $0.utf8.contains(0) })
        else {
            throw .badAddress("user, password and virtual host must be percent-encoded UTF-8 without NUL")
        }
        self.host = String(host)
        self.port = port
        self.user = user
        self.password = password
        self.virtualHost = virtualHost.isEmpty ? "/" : virtualHost
    }

    /// In place of one that is missing or wrong, in a process that will not serve.
    fileprivate static let standIn = BrokerAddress()

    private init() { (host, port, virtualHost, user, password) = ("", 0, "/", "", "") }
}

extension Settings {
    /// The broker's address in `AMQP_URL`.
    func broker() -> BrokerAddress {
        let uri = text("AMQP_URL")
        guard !uri.isEmpty else { return .standIn }
        do throws(BrokerError) {
            return try BrokerAddress(uri)
        } catch {
            fault("AMQP_URL", "is not an AMQP URI such as amqp://user:password@host:5672/vhost: \(error)")
            return .standIn
        }
    }
}

extension BrokerAddress: CustomStringConvertible, CustomReflectable {
    public var description: String { "amqp://\(user):…@\(place)" }
    public var customMirror: Mirror { Mirror(self, children: ["place": place]) }
}

extension BrokerAddress {
    /// Opens a session and closes it.
    /// - Throws: `BrokerError` when nobody answers, or the login is refused.
    public func checkLogin(deadline: Deadline) throws(BrokerError) {
        _ = try Session(self, name: "taproom", deadline: deadline)
    }
}
