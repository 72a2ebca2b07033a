import Migrations
import Postgres
import Runtime
import Subscriptions

/// What is in the databases.
extension Diagnosis {
    func migrations() throws {
        let heads = try heads()
        let instance = try running()
        let schema = Schema(project: project, record: instance.record)
        let behind = try project.services.compactMap { service in
            switch try asking(service, instance, { try schema.place(of: service) }) {
            case .ready:
                let findings = try asking(service, instance) { try schema.findings(of: service) }
                guard findings.isEmpty else {
                    throw Obstacle(
                        description: findings.map { "\(service): \($0)" }.joined(separator: "\n"),
                        remedy: "what stands above; then taproom migrate -x scope=\(startedScope) check")
                }
                return String?.none
            case .behind(let current):
                return "\(service) is at \(current ?? "base"), head is \(heads[service] ?? "base")"
            case .ahead(let current):
                throw Obstacle(description: "\(service) \(Schema.ahead(current))", remedy: Schema.wayOut)
            case .unfit(let encoding):
                throw Obstacle(
                    description: "\(service): \(MigrationError.encoding(encoding))", remedy: Schema.wayOutOfEncoding)
            }
        }
        guard behind.isEmpty else { throw InstanceError(behind.joined(separator: "; ")) }
    }

    /// Nothing else can be done with files that are wrong.
    private func heads() throws -> [String: String] {
        do {
            return try Schema.heads(project)
        } catch {
            throw Obstacle(description: "\(error)", remedy: "fix the files named above")
        }
    }

    func timeZone() throws {
        let instance = try running()
        try asking(Schema.reckoner, instance) {
            try Schema(project: project, record: instance.record).checkTimeZone()
        }
    }

    func eligibility() throws {
        let instance = try running()
        guard let url = instance.record.databases["subscriptions"] else { return }
        let connection = try asking("subscriptions", instance) {
            // The server stops by itself when this process was killed.
            try Connection(
                url: url, command: "doctor", options: ["statement_timeout": "\(Self.eligibilityMilliseconds)"])
        }
        do {
            try eligibility(EligibilityUpkeep(connection), deadline: .after(milliseconds: Self.eligibilityMilliseconds))
        } catch let error as PostgresError
            where error.sqlState?.hasPrefix(SQLState.Class.syntaxErrorOrAccessRuleViolation) != true
        {
            // Nothing is known of the intervals, and to make them anew would slow the list down.
            throw Obstacle(
                description: "they could not be compared with the histories within "
                    + "\(Self.eligibilityMilliseconds / 1000) s: \(error)",
                remedy: Self.patience)
        }
    }

    private func eligibility(_ upkeep: EligibilityUpkeep, deadline: Deadline) throws {
        if let count = try upkeep.manyUnsettled(deadline: deadline) {
            throw InstanceError(
                "\(count) subscriptions are unsettled: their histories decide, and the list of the eligible is slow")
        }
        let (count, example) = try upkeep.wrong(deadline: deadline)
        guard count == 0 else {
            throw InstanceError(
                "the intervals kept for \(count) subscriptions are not those of their history, such as "
                    + (example ?? "").printable)
        }
    }

    /// How long the comparison of all intervals may take.
    private static let eligibilityMilliseconds = 300_000

    static let patience = "taproom doctor again when the database has less to do"

    /// Runs `body`, which opens a session on the database of a service.
    func asking<Answer>(_ service: String, _ instance: Instance, _ body: () throws -> Answer) throws -> Answer {
        do {
            return try body()
        } catch let error as PostgresError {
            guard case .unavailable = error else { throw error }
            let isEmbedded = instance.record.isEmbedded(service: service)
            throw Obstacle(
                description: "\(service): \(error)",
                remedy: isEmbedded ? "\(up); then taproom logs postgres" : "start the server of databases.\(service)")
        }
    }
}
