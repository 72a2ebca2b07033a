import Foundation
import Postgres
import Runtime
import TestSupport

/// What breaks an instance, and puts it right again.
struct Breakage {
    let shop: PrivateInstance
    let database: Database

    init(_ shop: PrivateInstance) throws {
        self.shop = shop
        database = try shop.database()
    }

    /// The places in a charge at which a test build dies or stands still on demand.
    enum Point: String, CaseIterable {
        case beforeBegin = "charge.before-begin"
        case afterBegin = "charge.after-begin"
        case beforeFinish = "charge.before-finish"
        case afterFinish = "charge.after-finish"
    }

    /// Whoever reaches the point from now on kills itself.
    func kill(at point: Point) throws { try fault("kill \(point.rawValue)") }
    /// Whoever reaches the point from now on stands still there until `release`.
    func hold(at point: Point) throws { try fault("hold \(point.rawValue)") }
    func release() throws { try fault("") }

    private func fault(_ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(shop.executables)/fault"), options: .atomic)
    }

    /// Sends SIGKILL to the processes that serve a function.
    func killFunction(_ executable: String = "ChargeFunction") {
        for pid in processes(of: executable) { Glibc.kill(pid, SIGKILL) }
    }

    /// Lets the processes that charge stand still for a while, wherever they are.
    func freezeFunction(milliseconds: Int) {
        let pids = processes(of: "ChargeFunction")
        for pid in pids { Glibc.kill(pid, SIGSTOP) }
        usleep(UInt32(milliseconds) * 1000)
        for pid in pids { Glibc.kill(pid, SIGCONT) }
    }

    private func processes(of executable: String) -> [Int32] {
        let path = "\(shop.executables)/\(executable)"
        return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/exe")) == path
        }
    }

    /// Ends PostgreSQL, SIGINT in good order and SIGQUIT without, and waits until supervisord has brought it back.
    func restartDatabase(_ signal: Int32 = SIGINT) throws {
        let old = try shop.postmaster()
        Glibc.kill(old, signal)
        try Eventually.happens("another postmaster") { (try? shop.postmaster()).map { $0 != old } ?? false }
        try Eventually.happens("readiness") { try shop.http.request("GET", "/readyz").status == 200 }
    }

    /// Kills supervisord, which PostgreSQL was started by, and leaves behind what it kept.
    func killSupervisor() throws {
        let status = try String(contentsOfFile: "/proc/\(try shop.postmaster())/stat", encoding: .utf8)
        guard let parent = status.split(separator: " ").dropFirst(3).first.flatMap({ Int32($0) }), parent > 1 else {
            throw PrivateInstance.Failed(description: "no supervisord")
        }
        Glibc.kill(parent, SIGKILL)
    }

    /// Ends every session but the one that asks, and waits until they are gone.
    func cutSessions() throws {
        try sql(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND usename = current_user AND datname = current_database()
            """)
    }

    /// Lets no run of settling by schedule win its tick, so that doubts and leases that are over are left to the test;
    /// runs by hand are as ever.
    func stopSchedule() throws {
        try sql(
            """
            CREATE OR REPLACE FUNCTION no_tick() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
            """)
        try sql(
            """
            CREATE OR REPLACE TRIGGER no_tick BEFORE INSERT OR UPDATE ON schedule_run
                FOR EACH ROW EXECUTE FUNCTION no_tick()
            """)
    }

    /// What the passing of time does to the leases of attempts that died.
    func expireLeases() throws {
        try sql("UPDATE charge SET lease_until = now() - interval '1 second' WHERE state = 'sending'")
    }

    /// Lets PostgreSQL confirm commits before they are on disk, in every session from now on.
    func setSynchronousCommit(_ word: String) throws {
        try sql("ALTER DATABASE subscriptions SET synchronous_commit = \(unsafeText: word)")
        try cutSessions()
    }

    /// Sets the ledger's calendar so many months ahead of the clock, perhaps of one time zone's alone.
    func setMonthsAhead(_ count: Int, in zone: String = "%") throws {
        try sql(
            """
            CREATE OR REPLACE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7)
            LANGUAGE sql STABLE
            RETURN to_char(
                (p_at + interval '1 month'
                    * CASE WHEN p_zone LIKE '\(unsafeText: zone)' THEN \(unsafeText: "\(count)") ELSE 0 END)
                    AT TIME ZONE p_zone, 'YYYY-MM')
            """)
    }

    @discardableResult
    func sql(_ statement: SQL) throws -> Rows {
        // The sessions may have been cut a moment ago, or the server restarted.
        let limit = Deadline.after(milliseconds: 30_000)
        while true {
            do {
                return try database.execute(statement, deadline: .after(milliseconds: 20_000))
            } catch let error as PostgresError where error.problem.status == 503 && !limit.hasPassed {
                usleep(50_000)
            }
        }
    }
}
