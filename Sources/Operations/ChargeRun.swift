import Glibc
import Runtime

/// Charges many subscriptions through the gateway, several at a time. It keeps nothing: the ledger behind the gateway
/// decides, so a run may be stopped or killed at any moment and started again.
public final class ChargeRun: Sendable {
    private let gateway: GatewayClient
    private let period: String
    private let usedRequestIDs: Set<String>
    private let concurrency: Int
    private let currentPeriod: @Sendable () throws -> String
    private let progress: ProgressBar
    private let state: Lock<State>

    private struct State {
        var waiting: ArraySlice<String>
        var summary: RunSummary
        var unreachableInARow = 0
        var nextLook = Deadline.after(milliseconds: 0)
    }

    /// - Parameters:
    ///   - period: the current month, which the request ids are made of.
    ///   - subscriptions: whom to charge.
    ///   - usedRequestIDs: request ids that nobody may be charged by any more.
    ///   - summary: what is known before the first request.
    ///   - currentPeriod: the ledger's month at this moment; the run stops when it is another one.
    public init(
        gateway: GatewayClient, period: String, subscriptions: [String], usedRequestIDs: Set<String>,
        summary: RunSummary, concurrency: Int, currentPeriod: @escaping @Sendable () throws -> String,
        progress: ProgressBar
    ) {
        self.gateway = gateway
        self.period = period
        self.usedRequestIDs = usedRequestIDs
        self.concurrency = concurrency
        self.currentPeriod = currentPeriod
        self.progress = progress
        state = Lock(State(waiting: subscriptions[...], summary: summary))
    }

    /// Begins no further charge; `run` returns when those in hand have ended.
    public func stop() { stop(.interrupted) }

    private func stop(_ reason: RunSummary.Stop) { state.withLock { $0.summary.stop(reason) } }

    private var isStopped: Bool { state.withLock { $0.summary.stopped != nil } }

    /// Charges all of them and blocks until that is done.
    public func run() -> RunSummary {
        progress.update(state.withLock { $0.summary })
        lookNowAndThen()
        (0..<min(concurrency, state.withLock { $0.waiting.count })).inParallel { [self] _ in
            while let subscription = next() { charge(subscription) }
        }
        let summary = state.withLock { $0.summary }
        progress.finish(summary)
        return summary
    }

    private func next() -> String? {
        lookNowAndThen()
        return state.withLock { $0.summary.stopped == nil ? $0.waiting.popFirst() : nil }
    }

    private func charge(_ subscription: String) {
        let ids = RunRequestID.candidates(period: period, subscription: subscription, besides: usedRequestIDs).prefix(2)
        var answer = ChargeAnswer.rejected(reason: ChargeAnswer.requestIDReused)
        for (index, id) in ids.enumerated() where answer.hasUsedRequestID {
            // In the same month another id charges nobody twice: the ledger goes by subscription and month.
            if index > 0 { look() }
            answer = index > 0 && isStopped ? .unreachable(reason: ChargeAnswer.requestIDReused) : ask(subscription, id)
        }
        let summary = state.withLock { state in
            state.summary.add(answer, for: subscription)
            if state.summary.otherMonth > 0 { state.summary.stop(.monthEnded) }
            state.unreachableInARow = answer.isUntaken ? state.unreachableInARow + 1 : 0
            if state.unreachableInARow >= Self.unreachableLimit * concurrency { state.summary.stop(.unreachable) }
            return state.summary
        }
        progress.update(summary)
    }

    /// Asks to charge it, and again as long as that may help.
    private func ask(_ subscription: String, _ requestID: String) -> ChargeAnswer {
        var answer = gateway.charge(subscription: subscription, requestID: requestID)
        for repetition in 1...Self.repetitions where answer.answer.isWorthRepeating {
            pause(seconds: answer.retryAfter ?? repetition)
            lookNowAndThen()
            if isStopped { break }
            answer = gateway.charge(subscription: subscription, requestID: requestID)
        }
        return answer.answer
    }

    /// Looks whether the month is over, unless somebody did a moment ago.
    private func lookNowAndThen() {
        let isDue = state.withLock { state in
            guard state.nextLook.hasPassed else { return false }
            state.nextLook = .after(milliseconds: Self.lookMilliseconds)
            return true
        }
        if isDue { look() }
    }

    /// A look that fails says nothing: the answers and the next look do.
    private func look() {
        guard let current = try? currentPeriod(), current != period else { return }
        stop(.monthEnded)
    }

    /// Waits as long as the answer asked for, within reason, or until the run is stopped.
    private func pause(seconds: Int) {
        let end = Deadline.after(milliseconds: 1000 * min(seconds, Self.longestPause))
        while !end.hasPassed, !isStopped { usleep(20_000) }
    }

    /// How often a request that was not executed is sent again, with the same id.
    private static let repetitions = 3
    /// Seconds.
    private static let longestPause = 30
    /// How long a look at the month is good for.
    private static let lookMilliseconds = 1000
    /// How many charges per worker may fail to get through in a row before the run gives up.
    private static let unreachableLimit = 3
}
