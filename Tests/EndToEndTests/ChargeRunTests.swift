import Foundation
import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// `taproom charge-run` and `taproom charges` on an instance whose platform does what the test says.
@Suite(.serialized) struct ChargeRunTests {
    let shop: PrivateInstance
    let platform: ScriptedPlatform
    let database: Database
    let prefix: String

    init() throws {
        shop = try PrivateInstance.charged.get()
        platform = try #require(shop.platform)
        platform.behave { _ in .order }
        database = try shop.database()
        prefix = shop.unique("run")
        // A run charges whoever is eligible, so there must be nobody of an earlier test. The settling of doubts by
        // schedule has tests of its own; here the runs settle them.
        try database.withConnection(deadline: .soon) { connection in
            _ = try connection.run(
                script: """
                    DELETE FROM subscription_status_history;
                    DELETE FROM subscription;
                    CREATE OR REPLACE FUNCTION settle_never() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN
                        NEW.settle_at := 'infinity';
                        RETURN NEW;
                    END $$;
                    CREATE OR REPLACE TRIGGER settle_never BEFORE INSERT OR UPDATE ON charge
                        FOR EACH ROW EXECUTE FUNCTION settle_never();
                    """, deadline: .soon)
        }
    }

    /// Subscriptions as outsiders write them; the customer says what the platform is to do.
    func subscribe(_ count: Int, customer: String) throws -> [String] {
        let club = try shop.club(in: database)
        return try database.execute(
            """
            WITH made AS (
                INSERT INTO subscription (id, club_id, customer_store_id, create_date)
                SELECT \(prefix) || ' ' || \(customer) || '-' || n, \(club), \(customer) || '-' || n, utc_now()
                FROM generate_series(1, \(count)) n RETURNING id),
            active AS (
                INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date)
                SELECT left(md5(id), 36), id, 1, utc_now() - interval '1 hour', utc_now() FROM made)
            SELECT id FROM made
            """, deadline: .soon
        ).map { try $0.decode(String.self) }
    }

    func charge(_ subscription: String, _ request: String) throws -> HTTPProbe.Response {
        try shop.http.request(
            "POST", "/subscription/\(PercentEncoding.encode(subscription))/charge/\(request)")
    }

    /// The request id of a subscription's only charge.
    func requestID(_ subscription: String) throws -> String {
        try database.execute("SELECT request_id FROM charge WHERE subscription_id = \(subscription)", deadline: .soon)[
            0
        ]
        .decode(String.self)
    }

    func chargeRun(_ arguments: String...) throws -> (status: Int32, summary: TestJSON) {
        let run = try shop.run(["charge-run", "--json"] + arguments)
        return (run.status, try TestJSON(parsing: run.output))
    }

    /// Orders of the platform and charged rows are the same, one for one.
    func audit(_ subscriptions: [String]) throws {
        let rows = try database.execute(
            "SELECT subscription_id, request_id FROM charge WHERE state = 'charged' AND retired_at IS NULL",
            deadline: .soon
        ).map { try $0.decode(String.self, String.self) }
        #expect(rows.map(\.0).sorted() == subscriptions.sorted())
        for (subscription, request) in rows {
            #expect(platform.orders[request] == 1, "\(subscription) \(request)")
        }
    }

    @Test func twoHundredSubscriptionsWithEveryKindOfTrouble() throws {
        let fine = try subscribe(140, customer: "fine")
        let before = try subscribe(20, customer: "before")
        let declined = try subscribe(15, customer: "declined")
        let broken = try subscribe(15, customer: "broken")
        let lost = try subscribe(5, customer: "lost")
        let early = try subscribe(5, customer: "early")
        for (index, id) in before.enumerated() {
            #expect(try charge(id, "\(prefix)-before-\(index)").status == 200)
        }
        platform.behave { _ in .answer(500) }
        for (index, id) in early.enumerated() {
            #expect(try charge(id, "\(prefix)-early-\(index)").status == 502)
        }
        platform.behave { request in
            let body = String(decoding: request.body, as: UTF8.self)
            if body.contains("declined-") { return .answer(402, #"{"reason":"card expired"}"#) }
            if body.contains("broken-") { return .answer(500) }
            return body.contains("lost-") ? .cutAfterActing : .order
        }

        let first = try chargeRun()
        #expect(first.status == 1, "\(first.summary)")
        let counts = ["eligible", "charged", "replayed", "declined", "refused", "unknown", "unreachable", "not_asked"]
        #expect(counts.map { first.summary[$0]?.integer } == [200, 145, 20, 15, 0, 20, 0, 0], "\(first.summary)")
        let unknown = (first.summary["unknown_subscriptions"]?.elements ?? []).compactMap(\.string)
        #expect(unknown == (broken + lost).sorted())
        let listed = try TestJSON(parsing: shop.tool("charges", "list", "--state", "unknown", "--json")).elements
        #expect(listed.compactMap { $0["subscription_id"]?.string }.sorted() == unknown)
        let pinned = Set(listed.compactMap { $0["request_id"]?.string })
        #expect(pinned.count == 20)

        platform.behave { _ in .order }
        let sent = platform.requests.count
        let second = try chargeRun("--concurrency", "3")
        #expect(second.status == 0, "\(second.summary)")
        #expect(second.summary["declined_earlier"]?.integer == 15)
        #expect(platform.requests[sent...].map(\.requestID).sorted() == pinned.sorted(), "only these, once, as before")
        try audit(fine + before + broken + lost + early)

        let third = try chargeRun("--retry-declined")
        #expect(third.status == 0 && third.summary["charged"]?.integer == 15, "\(third.summary)")
        try audit(fine + before + broken + lost + early + declined)
    }

    @Test("orders refused as by a mistyped address, and subscriptions that no path names, are no success")
    func rejectedIsNoSuccess() throws {
        let lost = try subscribe(2, customer: "lost")
        let unnamed = try subscribe(1, customer: "a/b")
        for (status, reason) in [(404, "platform-404"), (400, "platform-400")] {
            platform.behave { _ in .answer(status) }
            let run = try chargeRun()
            #expect(run.status == 1 && run.summary["declined"]?.integer == 0, "\(run.summary)")
            #expect(run.summary["rejected"]?.integer == 3 && run.summary["reasons"]?[reason]?.integer == 2)
        }
        platform.behave { _ in .order }
        let run = try chargeRun()
        #expect(run.status == 1 && run.summary["charged"]?.integer == 2 && run.summary["refused"]?.integer == 0)
        #expect(run.summary["rejected_subscriptions"]?.elements.compactMap(\.string) == unnamed, "\(run.summary)")
        try audit(lost)
    }

    @Test func aKilledRunIsStartedAgain() throws {
        let all = try subscribe(60, customer: "killed")
        let gate = Gate()
        let before = platform.requests.count
        platform.behave { $0.ordinal < before + 20 ? .order : .holdAfterActing(gate) }
        let run = try shop.start("charge-run", "--concurrency", "4")
        try platform.waitForRequests(before + 24)
        run.kill()
        #expect(try run.waitForEnd() == .killed(signal: SIGKILL))
        #expect(platform.requests.count == before + 24)
        gate.open()
        let again = try chargeRun("--concurrency", "4")
        #expect(again.status == 0, "\(again.summary)")
        try audit(all)
        #expect(platform.requests.count == before + 60, "nobody's order was sent twice")
    }

    @Test func aStoppedRunFinishesWhatIsInHand() throws {
        let all = try subscribe(40, customer: "stopped")
        let gate = Gate()
        let before = platform.requests.count
        platform.behave { $0.ordinal < before + 10 ? .order : .holdAfterActing(gate) }
        let run = try shop.start("charge-run", "--concurrency", "4")
        try platform.waitForRequests(before + 14)
        run.send(signal: SIGINT)
        try Eventually.happens("the stop") { run.lines.contains { $0.hasPrefix("Stopping") } }
        gate.open()
        #expect(try run.waitForEnd() == .exited(130))
        #expect(platform.requests.count == before + 14)
        let again = try chargeRun()
        #expect(again.status == 0 && again.summary["replayed"]?.integer == 14, "\(again.summary)")
        try audit(all)
    }

    @Test func aNewSubscriptionUnderTheIDOfARenamedOneIsCharged() throws {
        let id = try subscribe(1, customer: "renamed")[0]
        #expect(try chargeRun().status == 0)
        let new = "\(prefix) new"
        for statement: SQL in [
            "DELETE FROM subscription_status_history",
            "UPDATE subscription SET id = \(new) WHERE id = \(id)",
            "INSERT INTO subscription SELECT \(id), club_id, 'heir', create_date FROM subscription",
            "INSERT INTO subscription_status_history SELECT left(md5(id), 36), id, 1, create_date FROM subscription",
        ] {
            try database.execute(statement, deadline: .soon)
        }
        for expected in [[1, 1], [0, 2]] {
            let run = try chargeRun()
            #expect(run.status == 0, "\(run.summary)")
            #expect(["charged", "replayed"].map { run.summary[$0]?.integer } == expected, "\(run.summary)")
        }
        try audit([id, new])
    }

    @Test("a new subscription under the id of a deleted one has an order of its own, whatever became of the old one's")
    func reinserted() throws {
        let all = try subscribe(2, customer: "gone")
        let club = try shop.club(in: database)
        platform.behave { String(decoding: $0.body, as: UTF8.self).contains("gone-2") ? .cutAfterActing : .order }
        let before = platform.orders.count
        for expected in [1, 2, 2] {
            let run = try chargeRun()
            #expect(run.summary["charged"]?.integer == expected, "\(run.summary)")
            for statement: SQL in [
                "DELETE FROM subscription_status_history", "DELETE FROM subscription",
                "INSERT INTO subscription VALUES (\(all[0]), \(club), 'heir'), (\(all[1]), \(club), 'heir')",
                "INSERT INTO subscription_status_history SELECT left(md5(id), 36), id, 1, utc_now() FROM subscription",
            ] {
                try database.execute(statement, deadline: .soon)
            }
        }
        for expected in [[2, 0], [0, 2]] {
            let run = try chargeRun()
            #expect(["charged", "replayed"].map { run.summary[$0]?.integer } == expected, "\(run.summary)")
        }
        #expect(platform.orders.count == before + 8)
        try audit(all)
    }

    @Test("a full disk under the output loses words and no charge")
    func fullDisk() throws {
        let all = try subscribe(5, customer: "silent")
        func taproom(_ command: String) throws -> TestProcess {
            try TestProcess.run(
                "/bin/sh", ["-c", #"exec "$0" \#(command)"#, TestProcess.product("taproom")],
                environment: ["TAPROOM_STATE": shop.scratch("state")], folder: Repository.root)
        }
        let run = try taproom("charge-run --json 2>/dev/full")
        #expect(run.status == 0 && run.output.contains(#""charged" : 5"#), "\(run.output)")
        try audit(all)
        for command in ["charge-run --json", "charges list", "logs charge"] {
            let lost = try taproom("\(command) >/dev/full")
            #expect(lost.status == 1 && lost.errors.contains("Error: "), "\(command): \(lost.status) \(lost.errors)")
        }
    }

    @Test func demoRowsGoNowhereOutside() throws {
        let outside = try shop.run(["demo"])
        #expect(outside.status == 1 && outside.errors.contains("(ecommerce.url)"), "\(outside.errors)")
        // What is recorded of this instance, but for where the platform and perhaps the broker are.
        let record = URL(filePath: shop.scratch("state/instance.json"))
        let before = try Data(contentsOf: record)
        defer { try? before.write(to: record) }
        var known = try #require(try JSONSerialization.jsonObject(with: before) as? [String: Any])
        var parameters = try #require(known["parameters"] as? [String: String])
        parameters["ecommerce.url"] = "http://127.0.0.1:\(shop.port)/ecommerce"
        known["parameters"] = parameters
        func demo() throws -> TestProcess {
            try JSONSerialization.data(withJSONObject: known).write(to: record)
            return try shop.run(["demo"])
        }
        let port = known.removeValue(forKey: "brokerPort")
        #expect(try demo().errors.contains("(rabbitmq.url)"))
        let rows: SQL = "SELECT count(*) FROM subscription WHERE customer_store_id LIKE 'demo-%'"
        #expect(try database.execute(rows, deadline: .soon)[0].decode(Int.self) == 0)
        known["brokerPort"] = port
        try database.execute("ALTER TABLE club RENAME store_sku TO sku", deadline: .soon)
        let failed = try demo()
        try database.execute("ALTER TABLE club RENAME sku TO store_sku", deadline: .soon)
        #expect(failed.status == 1 && failed.errors.contains("store_sku"), "\(failed.errors)")
        #expect(failed.errors.split(separator: "\n").count == 1, "it prints no script: \(failed.errors)")
        // Ids that the sequence would come to next.
        try database.execute(
            "INSERT INTO club (id) SELECT last_value + n FROM club_id_seq, generate_series(1, 9) n", deadline: .soon)
        let own = try demo()
        #expect(own.status == 0, "\(own.errors)")
        #expect(try database.execute(rows, deadline: .soon)[0].decode(Int.self) > 0)
    }
}
