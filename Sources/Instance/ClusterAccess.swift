import Foundation
import Glibc

/// Who may be whom in the embedded PostgreSQL: its `pg_hba.conf` and `pg_ident.conf`.
///
/// Over the Unix socket the kernel says who is there, so those who run the shop's parts are its services' roles without a
/// password: checking one starts OpenSSL in each new session, a millisecond, and that user could read the passwords
/// anyway, which stand in the functions' environment. Everybody else, and everybody over TCP, gives the password; over
/// the socket in the clear, since its folder is the server's own and nobody else listens there.
struct ClusterAccess {
    /// Service, which is its role and its database.
    let services: [String]
    /// Users of the operating system that run functions or administer the instance.
    let users: [String]

    init(services: some Sequence<String>, accounts: Accounts) {
        self.services = services.sorted()
        let me = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) }
        users = Set(["root", me, accounts.server?.name, accounts.database?.name].compactMap(\.self)).sorted()
    }

    /// `pg_hba.conf`: the first line that matches decides.
    var authentication: String {
        let roles = services.map { "\"\($0)\"" }.joined(separator: ",")
        let peers = services.isEmpty ? "" : "local all \(roles) peer map=services\n"
        return """
            # Written at each start.
            \(peers)local all,replication all password
            host all,replication all 127.0.0.1/32 scram-sha-256

            """
    }

    /// `pg_ident.conf`.
    var identities: String {
        users.flatMap { user in services.map { "services \"\(user)\" \"\($0)\"\n" } }.joined()
    }
}
