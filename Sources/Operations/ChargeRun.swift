internal import Foundation
internal import Runtime

/// Charges many subscriptions through the gateway, several at a time. It keeps nothing: the ledger behind the gateway
/// decides, so a run may be stopped or killed at any moment and started again.
public final class ChargeRun: Sendable {
    private let gateway: GatewayClient
    private let period: String
    private let concurrency: Int
    private let progress: any RunProgress
    private let state: Lock<State>

    private struct State {
        var waiting: ArraySlice<String>
        var summary: RunSummary
        var unreachableInARow = 0
    }

    /// - Parameters:
    ///   - period: the current month, which the request ids are made of.
    ///   - subscriptions: whom to charge.
    ///   - summary: what is known before the first request.
    public init(
        gateway: GatewayClient, period: String, subscriptions: [String], summary: RunSummary, concurrency: Int,
        progress: any RunProgress
    ) {
        self.gateway = gateway
        self.period = period
        self.concurrency = concurrency
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
        state.withLock { $0.summary.stopped == nil ? $0.waiting.popFirst() : nil }
    }

    private func charge(_ subscription: String) {
        let request = RunRequestID.of(period: period, subscription: subscription)
        var answer = gateway.charge(subscription: subscription, request: request)
        for repetition in 1...Self.repetitions where answer.answer.isWorthRepeating {
            pause(seconds: answer.retryAfter ?? repetition)
            if isStopped { break }
            answer = gateway.charge(subscription: subscription, request: request)
        }
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

    /// Waits as long as the answer asked for, within reason, or until the run is stopped.
    private func pause(seconds: Int) {
        let end = Deadline.after(milliseconds: 1000 * min(seconds, Self.longestPause))
        while !end.hasPassed, !isStopped { usleep(20_000) }
    }

    /// How often a request that was not executed is sent again, with the same id.
    private static let repetitions = 3
    /// Seconds.
    private static let longestPause = 30
    /// How many charges per worker may fail to get through in a row before the run gives up.
    private static let unreachableLimit = 3
}
