import ArgumentParser
import Instance
import Postgres
import Runtime

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fills the databases with a beer-club shop to try things on; running it again changes nothing.",
        discussion: "Only where database, broker and e-commerce platform are the instance's own.")

    func run() throws {
        let instance = try Instance.running(try Project.find())
        guard instance.record.isEmbedded(service: "subscriptions"),
            let url = instance.record.databases["subscriptions"]
        else {
            throw InstanceError(
                "scope \(instance.record.scope) keeps subscriptions in a server outside: demo rows go only into an "
                    + "embedded database")
        }
        // They are charged and announced as any others are.
        guard instance.record.outsidePlatform == nil else {
            throw InstanceError(
                "scope \(instance.record.scope) orders at a platform outside (ecommerce.url): demo rows go only where "
                    + "the platform is the instance's own")
        }
        guard instance.record.brokerPort != nil else {
            throw InstanceError(
                "scope \(instance.record.scope) sends its events to a broker outside (rabbitmq.url): demo rows go only "
                    + "where the broker is the instance's own")
        }
        do {
            try fill(instance, url)
        } catch let error as PostgresError {
            throw InstanceError("the demo rows could not be written: \(error.reason)")
        }
    }

    private func fill(_ instance: Instance, _ url: String) throws {
        let session = try Connection(url: url, command: "demo", options: ["timezone": "UTC"])
        let limit = Deadline.after(milliseconds: 60_000)
        let before = try counts(session, limit)
        try session.transaction(deadline: limit) { _ = try $0.run(script: DemoData.script, deadline: limit) }
        let after = try counts(session, limit)
        for (index, name) in ["clubs", "subscriptions", "status changes"].enumerated() {
            print("\(after[index]) \(name), \(after[index] - before[index]) of them new")
        }
        if instance.record.isEmbedded(service: "customers"), let url = instance.record.databases["customers"] {
            let database = Database(url: url, application: "taproom demo")
            let (all, new) = try DemoCustomers(database).fill(deadline: limit)
            print("\(all) customers, \(new) of them new")
        }
        let example = try example(session, limit)
        guard let example else { return }
        let gateway = instance.record.gateway
        print(
            """

            Try:
              curl -s \(gateway)/club/
              curl -s '\(gateway)/api/v1/customers?search=barley'
              curl -s \(gateway)/subscription/eligible
              curl -s \(gateway)/subscription/\(example.subscription)
              curl -s -X POST \(gateway)/club/\(example.club)/subscribe/ -H 'content-type: application/json' \
            -d '{"customer_id": "barley-mcmalt"}'
            """)
    }

    private func counts(_ session: Connection, _ limit: Deadline) throws -> [Int] {
        let sql: SQL = """
            SELECT (SELECT count(*) FROM club), (SELECT count(*) FROM subscription),
                (SELECT count(*) FROM club_status_history) + (SELECT count(*) FROM subscription_status_history)
            """
        let (clubs, subscriptions, changes) = try session.execute(sql, deadline: limit)[0]
            .decode(Int.self, Int.self, Int.self)
        return [clubs, subscriptions, changes]
    }

    /// A subscription with a rich history, and the club that takes new customers.
    private func example(_ session: Connection, _ limit: Deadline) throws -> (subscription: String, club: Int)? {
        let sql: SQL = """
            SELECT s.id, (SELECT min(c.id) FROM club c WHERE c.name = 'Hophead Society')
            FROM subscription s JOIN subscription_status_history h ON h.subscription_id = s.id
            WHERE s.customer_store_id LIKE 'demo-%' GROUP BY s.id ORDER BY count(*) DESC, s.id LIMIT 1
            """
        guard let row = try session.execute(sql, deadline: limit).first else { return nil }
        let (subscription, club) = try row.decode(String.self, Int.self)
        return (subscription, club)
    }
}

extension PostgresError {
    /// What went wrong, without the script in which it did.
    fileprivate var reason: String {
        switch self {
        case .unavailable(let reason), .connectionLost(_, let reason), .unexpectedResult(_, let reason): reason
        case .timedOut: "the database did not answer in time"
        case .refused(let refusal):
            "\(refusal.message) (SQLSTATE \(refusal.sqlState))" + (refusal.detail.map { ": \($0)" } ?? "")
        }
    }
}
