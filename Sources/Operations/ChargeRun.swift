internal import Foundation
internal import Runtime

/// Charges many subscriptions through the gateway, several at a time. It keeps nothing: the ledger behind the gateway
/// decides, so a run may be stopped or killed at any moment and started again.
public final class ChargeRun: Sendable {
    private let gateway: GatewayClient
    private let period: String
    private let concurrency: Int
    private let currentPeriod: @Sendable () throws -> String
    private let progress: any RunProgress
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
    ///   - summary: what is known before the first request.
    ///   - currentPeriod: the ledger's month at this moment; the run stops when it is another one.
    public init(
        gateway: GatewayClient, period: String, subscriptions: [String], summary: RunSummary, concurrency: Int,
        currentPeriod: @escaping @Sendable () throws -> String, progress: any RunProgress
    ) {
        self.gateway = gateway
        self.period = period
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
        let isOver = DispatchGroup()
        for _ in 0..<min(concurrency, state.withLock { $0.waiting.count }) {
            isOver.enter()
            // A blocked thread must be one of our own.
            Thread { [self] in
                while let subscription = next() { charge(subscription) }
                isOver.leave()
            }.start()
        }
        isOver.wait()
        let summary = state.withLock { $0.summary }
        progress.finish(summary)
        return summary
    }

    private func next() -> String? {
        lookNowAndThen()
        return state.withLock { $0.summary.stopped == nil ? $0.waiting.popFirst() : nil }
    }

    private func charge(_ subscription: String) {
        let request = RunRequestID.of(period: period, subscription: subscription)
        var answer = gateway.charge(subscription: subscription, request: request)
        for repetition in 1...Self.repetitions where answer.answer.isWorthRepeating {
            pause(seconds: answer.retryAfter ?? repetition)
            lookNowAndThen()
            if isStopped { break }
            answer = gateway.charge(subscription: subscription, request: request)
        }
        if answer.answer.hasUsedRequestID { look() }
        let summary = state.withLock { state in
            state.summary.add(answer.answer, for: subscription)
            switch answer.answer {
            case .charged(let period), .replayed(let period):
                if period != self.period { state.summary.stop(.monthEnded) }
            case .declined, .refused, .unknown, .unreachable: break
            }
            state.unreachableInARow = answer.answer.isUntaken ? state.unreachableInARow + 1 : 0
            if state.unreachableInARow >= Self.unreachableLimit * concurrency { state.summary.stop(.unreachable) }
            return state.summary
        }
        progress.update(summary)
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
