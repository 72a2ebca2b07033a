import Foundation
import Glibc
import Postgres
import Runtime
import TestSupport

/// Why PostgreSQL takes no writes.
enum WriteRefusal: String, CaseIterable {
    /// The kernel lets the file of `charge_event` grow no further: RLIMIT_FSIZE, the only limit of this kind that an
    /// ordinary user can set and lift again. PostgreSQL sees a write cut short, as at the end of a disk.
    case fullDisk = "disk full"
    /// Every new session may only read, as on a server that waits to take over.
    case readOnly = "read-only"

    /// What PostgreSQL logs of a write that it refuses for this reason.
    fileprivate var message: String {
        switch self {
        case .fullDisk: "could not extend file"
        case .readOnly: "in a read-only transaction"
        }
    }
}

extension Breakage {
    func refuseWrites(_ refusal: WriteRefusal) throws {
        switch refusal {
        case .fullDisk: try fillDisk()
        case .readOnly:
            try setReadOnly(true)
            try cutSessions()
        }
    }

    /// Lets writes be, whatever refused them. The function's sessions stay as they are.
    func allowWrites() throws {
        try setReadOnly(false)
        try limitFiles("unlimited")
        // Our own session may be one that only reads; trying ends it.
        try sql("DELETE FROM charge_request WHERE false")
    }

    /// How many statements of a function PostgreSQL has refused so far for this reason.
    func refusedWrites(_ refusal: WriteRefusal, of function: String) throws -> Int {
        try shop.logText("postgres").split(separator: "\n").count {
            $0.contains("] \(function) ERROR:") && $0.contains(refusal.message)
        }
    }

    private func setReadOnly(_ isOn: Bool) throws {
        let session = try Connection(
            url: shop.databaseURL(), application: "read-only", options: ["default_transaction_read_only": "off"],
            deadline: .soon)
        try session.run(
            script: "ALTER DATABASE subscriptions SET default_transaction_read_only = \(isOn)", deadline: .soon)
    }

    /// Makes the table longer than a segment of the write-ahead log, which must go on, sets the limit within its next
    /// page, and fills what room is left.
    private func fillDisk() throws {
        let session = try Connection(url: shop.databaseURL(), application: "filler", deadline: .soon)
        // Eight of these rows fill a page.
        try session.run(
            script: """
                WITH filler AS (
                    INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, lease_until,
                                        created_at)
                    VALUES ('filler-' || gen_random_uuid()::varchar(20), '2001-01', 'declined', 'f', 'f', 1, now(), now())
                    RETURNING id)
                INSERT INTO charge_event (charge_id, attempt, request_id, what, excerpt)
                SELECT id, 1, 'f', 'begun', repeat('x', 948) FROM filler,
                    generate_series(1, (17000000 - pg_relation_size('charge_event')) / 1000);
                """, deadline: .soon)
        try session.run(script: "VACUUM charge_event", deadline: .soon)
        let size = try session.execute("SELECT pg_relation_size('charge_event')", deadline: .soon)[0].decode(Int.self)
        try limitFiles("\(size + 4096)")
        // The first statement that cannot be written is the end; what was written before it stays.
        do {
            while true {
                try session.run(
                    script: """
                        INSERT INTO charge_event (charge_id, attempt, request_id, what)
                        SELECT max(id), 1, 'f', 'begun' FROM charge
                        """, deadline: .soon)
            }
        } catch {
            guard error.sqlState == "53100" else { throw error }
        }
    }

    /// For PostgreSQL's processes, and those that they start from now on; in bytes.
    private func limitFiles(_ limit: String) throws {
        let postmaster = try shop.postmaster()
        // As whom it runs: root in a container may be denied what the owner of a process may do.
        let process = try FileManager.default.attributesOfItem(atPath: "/proc/\(postmaster)")
        let (owner, group) = (process[.ownerAccountID] as? Int ?? 0, process[.groupOwnerAccountID] as? Int ?? 0)
        let user =
            owner == Int(geteuid()) ? [] : ["setpriv", "--reuid=\(owner)", "--regid=\(group)", "--clear-groups"]
        for pid in [postmaster] + Self.children(of: postmaster) {
            // The soft limit only: an ordinary user could not raise the other again.
            let command = user + ["prlimit", "--pid", "\(pid)", "--fsize=\(limit):"]
            let run = try TestProcess.run(command[0], Array(command.dropFirst()))
            // A session may end meanwhile.
            guard run.status == 0 || pid != postmaster else { throw PrivateInstance.Failed(description: run.errors) }
        }
    }

    private static func children(of parent: Int32) -> [Int32] {
        let text = try? KernelFile.text("/proc/\(parent)/task/\(parent)/children")
        return (text ?? "").split(separator: " ").compactMap { Int32($0) }
    }
}
