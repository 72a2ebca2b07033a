import ArgumentParser
import Instance
import Operations
import Postgres
import Runtime

struct Charges: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the charge ledger, and settles what only an operator can.",
        subcommands: [ChargesList.self, ChargesShow.self, ChargesSettle.self])
}

extension Instance {
    /// The instance whose ledger is worked with.
    static func ofLedger() throws -> Instance { try started(Project.find(), withDatabaseOf: "subscriptions") }

    /// The subscriptions database by the address that operators have.
    func subscriptions() throws -> Database {
        guard let url = record.databases["subscriptions"] else {
            throw InstanceError(
                "the instance in \(record.state) has no database of subscriptions: run \(record.upCommand)")
        }
        return Database(url: url, application: "taproom charges")
    }

    /// The time zone that months are reckoned in.
    var billingZone: String { record.parameters["billing.time_zone"] ?? "UTC" }

    /// Whether an order in doubt is sent again, or waits for an operator.
    var resendsDoubts: Bool { record.parameters["ecommerce.resend"] != "manual" }
}

struct ChargesList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists charges, the latest first.",
        discussion: "An attempt that died shows as unknown: whether it was charged, nobody knows.")

    @Option(help: "Only this month, such as 2026-11.")
    var period: String?

    @Option(help: "Only this state: \(states).")
    var state: String?

    @Option(help: "Only charges begun longer ago: a number and s, m, h or d, such as 1h.")
    var olderThan: String?

    @Option(help: "Show at most this many.")
    var limit = 100

    @Flag(help: "A JSON array, for programs.")
    var json = false

    private static var states: String { ChargeRecords.State.allCases.map(\.rawValue).joined(separator: ", ") }

    func validate() throws {
        if let period { try Period.check(period) }
        if let state, ChargeRecords.State(rawValue: state) == nil {
            throw ValidationError("--state \(state): give one of \(Self.states)")
        }
        if let olderThan, TimeSpan(olderThan) == nil {
            throw ValidationError("--older-than \(olderThan): give a whole number and s, m, h or d, such as 90s or 1h")
        }
        guard (1...1_000_000).contains(limit) else {
            throw ValidationError("--limit \(limit): give a number from 1 to 1000000")
        }
    }

    func run() throws {
        let records = ChargeRecords(try Instance.ofLedger().subscriptions())
        let found = try records.list(
            period: period, state: state.flatMap { ChargeRecords.State(rawValue: $0) },
            olderThan: olderThan.flatMap { TimeSpan($0)?.seconds }, limit: limit + 1)
        let entries = Array(found.prefix(limit))
        if json { return try printJSON(entries) }
        print(entries.isEmpty ? "No such charges." : ChargeText.table(entries))
        if found.count > limit { print("… and more: --limit shows them") }
    }
}

enum Period {
    static func check(_ text: String) throws {
        guard text.wholeMatch(of: #/[0-9]{4}-(0[1-9]|1[0-2])/#) != nil else {
            throw ValidationError("--period \(text): give a month such as 2026-11")
        }
    }
}

struct ChargesShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows charges with every attempt and settlement.")

    @Argument(help: "The number of a charge (also as charge:12), or the id of a subscription.")
    var id: String

    @Flag(help: "A JSON array, for programs.")
    var json = false

    func run() throws {
        let instance = try Instance.ofLedger()
        let records = ChargeRecords(try instance.subscriptions())
        let histories = try records.find(id).compactMap { try records.history(of: $0) }
        guard !histories.isEmpty else { throw OperationError.unknownCharge(id) }
        if json { return try printJSON(histories) }
        print(
            histories.map { ChargeText.history($0, isResent: instance.resendsDoubts) }.joined(separator: "\n\n"))
    }
}
