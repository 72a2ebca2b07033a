import Glibc

/// A user of the operating system that a part of the instance runs as.
struct Account: Sendable, Equatable {
    let name: String
    let group: String
    let uid: uid_t
    let gid: gid_t

    init?(name: String) {
        guard let entry = getpwnam(name)?.pointee else { return nil }
        self.name = name
        uid = entry.pw_uid
        gid = entry.pw_gid
        group = getgrgid(entry.pw_gid).map { String(cString: $0.pointee.gr_name) } ?? name
    }
}

/// Who runs what. An ordinary user runs everything; root hands each part to the user that its package brought.
struct Accounts: Sendable, Equatable {
    /// Runs PostgreSQL; `nil` = the user who runs this.
    let database: Account?
    /// Runs RabbitMQ; `nil` = the user who runs this.
    let broker: Account?
    /// Runs nginx's workers and the functions; `nil` = the user who runs this.
    let server: Account?

    /// Whether users are switched at all.
    var switchesUser: Bool { server != nil }

    /// - Throws: `InstanceError` when root lacks the users of the packages.
    static func current() throws -> Accounts {
        guard geteuid() == 0 else { return Accounts(database: nil, broker: nil, server: nil) }
        let found = ["postgres", "rabbitmq", "www-data"].map { Account(name: $0) }
        guard let database = found[0], let broker = found[1], let server = found[2] else {
            throw InstanceError(
                "the users postgres, rabbitmq and www-data are needed when root runs this: scripts/install-packages "
                    + "brings them")
        }
        return Accounts(database: database, broker: broker, server: server)
    }
}
