import ArgumentParser
import Foundation
import Instance
import Operations

struct ChargeRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "charge-run",
        abstract: "Charges every eligible subscription for this month, through the gateway.",
        discussion: """
            Each charge has a request id made of the month and the subscription, so stopping and starting again charges \
            nobody twice. Control-C finishes what is in hand; once more ends at once, which is safe too.

            Exits 0 when everybody is charged, declined by the platform with 402, or not chargeable; 130 when stopped; \
            else 1.
            """)

    @Option(help: "A guard: the run refuses when this is not the current month, such as 2026-11.")
    var period: String?

    @Option(help: "How many charges at the same time, 1 to 256.")
    var concurrency = 16

    @Option(help: "Only the first this many of the eligible, ordered by id.")
    var limit: Int?

    @Flag(help: "Also ask, by a new request id, for those that the platform declined with 402 earlier this month.")
    var retryDeclined = false

    @Flag(help: "The summary as one JSON object, for programs.")
    var json = false

    @Option(help: "Where to send the charges. (default: the instance's own gateway)")
    var gateway: String?

    func validate() throws {
        if let period { try Period.check(period) }
        guard (1...256).contains(concurrency) else {
            throw ValidationError("--concurrency \(concurrency): give a number from 1 to 256")
        }
        if let limit, limit < 1 { throw ValidationError("--limit \(limit): give a number from 1") }
    }

    func run() throws {
        let project = try Project.find()
        let instance = try gateway == nil ? Instance.serving(project) : Instance.started(project)
        let records = ChargeRecords(try instance.subscriptions())
        let zone = instance.billingZone
        let month = try records.currentPeriod(zone: zone)
        guard period == nil || period == month else {
            throw OperationError(
                "--period \(period ?? ""): only the current month can be charged, which is \(month) in \(zone). What is "
                    + "open from another month is settled: taproom charges list --period \(period ?? "") --state unknown"
            )
        }
        let client = try GatewayClient(base: gateway ?? instance.record.gateway)
        say("Charging \(month), the current month in \(zone)\n")
        let eligible = try client.eligible(limit: limit)
        let declined = retryDeclined ? [] : try records.declined(period: month)
        let wanted = eligible.filter { !declined.contains(Array($0.utf8)) }
        let run = ChargeRun(
            gateway: client, period: month, subscriptions: wanted,
            usedRequestIDs: try records.usedRequestIDs(period: month),
            summary: RunSummary(
                period: month, eligible: eligible.count, declinedEarlier: eligible.count - wanted.count),
            concurrency: concurrency, currentPeriod: { try records.currentPeriod(zone: zone) },
            progress: ProgressBar(isTerminal: isatty(STDERR_FILENO) == 1, write: say))
        let interruption = Interruption {
            say("\nStopping when what is in hand has ended; once more ends at once\n")
            run.stop()
        }
        let summary = withExtendedLifetime(interruption) { run.run() }
        if json { try printJSON(summary) } else { print(summary.text(isResent: instance.resendsDoubts)) }
        guard summary.exitStatus == 0 else { throw ExitCode(summary.exitStatus) }
    }
}

/// Tells the operator how it goes; standard output is for the summary.
private func say(_ text: String) { FileHandle.standardError.tell(text) }

/// Runs `body` at the first SIGINT or SIGTERM; the second one ends the process at once.
private final class Interruption {
    private let sources: [any DispatchSourceSignal]

    init(_ body: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signal(number, SIG_DFL)
                body()
            }
            source.resume()
            return source
        }
    }
}
