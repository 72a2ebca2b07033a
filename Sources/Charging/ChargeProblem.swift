import Runtime

/// The refusals and doubts of a charge, as the contract names them.
enum ChargeProblem {
    /// - Parameter doubt: the month of an order that was sent before and whose outcome is unknown.
    static func notChargeable(_ reason: String, doubt: String?) -> Problem {
        Problem(
            "not-chargeable", status: 409, title: "Not chargeable",
            detail: doubt.map { "Nothing is sent by this request: \(reason). \(sentBefore($0))" }
                ?? "Nothing was charged: \(reason)."
        ).inDoubt(doubt)
    }

    private static func sentBefore(_ doubt: String) -> String {
        "But an order of \(doubt) was sent before and its outcome is unknown; it is being settled."
    }

    static func requestIDReused(_ request: String, by owner: String) -> Problem {
        Problem(
            "request-id-reused", status: 422, title: "Request id reused",
            detail: "Request id “\(request)” was used for \(owner). Use a new one.")
    }

    static var inProgress: Problem {
        Problem(
            "charge-in-progress", status: 409, title: "Charge in progress",
            detail: "Another request charges this subscription, or has just tried to. Ask again for its outcome."
        ).retryAfter(seconds: 2)
    }

    /// A doubt about which nothing may be sent.
    static func leftToOperator(period: String) -> Problem {
        outcomeUnknown("An order of \(period) was sent and its outcome is unknown. \(next(.manual))")
            .retryAfter(seconds: 3600)
    }

    /// What came of the attempt could not be written down, so nobody knows it after this answer.
    static func unrecorded(_ resend: ResendPolicy) -> Problem {
        outcomeUnknown("What came of the order could not be recorded. \(next(resend))").retryAfter(seconds: 30)
    }

    /// Somebody has removed the charge while its order was out, and its request id with it.
    static var recordRemoved: Problem {
        outcomeUnknown(
            "The record of this charge was removed while its order was being sent. What came of it stands in the log only, "
                + "and another request would order anew.")
    }

    private static func outcomeUnknown(_ detail: String) -> Problem {
        Problem("charge-outcome-unknown", status: 504, title: "Charge outcome unknown", detail: detail)
    }

    /// What comes of a doubt.
    private static func next(_ resend: ResendPolicy) -> String {
        switch resend {
        case .idempotent: "Ask again: the same order is sent, never a second one."
        case .manual: "It is not sent again: an operator settles it."
        }
    }

    /// What a verdict other than "charged" is answered with.
    /// - Parameter doubt: the month of the charge when its outcome stays unknown: a refusal concerns this request only,
    ///   and the order that was sent before may have been made.
    static func of(_ verdict: Verdict, _ resend: ResendPolicy, doubt: String?) -> Problem {
        let executed = doubt == nil ? "no" : "unknown"
        return switch verdict {
        case .charged:
            outcomeUnknown("The order was sent. \(next(resend))").retryAfter(seconds: 30)
        case .unanswered(let reason):
            outcomeUnknown("The order was sent and no usable answer came (\(reason)). \(next(resend))")
                .retryAfter(seconds: 30).with(debug: "platform: \(reason)")
        case .declined(let status, let body):
            Problem(
                "charge-declined", status: 402, title: "Charge declined",
                detail: "The platform declined the order with status \(status). "
                    + (doubt.map(sentBefore) ?? "Nothing was charged; it may be tried again.")
            ).inDoubt(doubt).platform(status, body)
        case .refusedUs(let status, let body):
            Problem(
                "platform-refused-us", status: 502, title: "Platform refused us",
                detail: "The platform refused our credentials with status \(status). "
                    + (doubt.map(sentBefore) ?? "Nothing was charged.")
            ).inDoubt(doubt).platform(status, body)
                .with(debug: "platform refused ecommerce.api_key and ecommerce.api_secret: status \(status)")
        case .busy(let status, let retryAfter):
            Problem(
                "platform-busy", status: 503, title: "Platform busy",
                detail: "The platform takes no orders at the moment (status \(status)). "
                    + (doubt.map(sentBefore) ?? "Nothing was charged.")
            ).inDoubt(doubt).with("executed", executed).retryAfter(seconds: retryAfter ?? 5)
        case .unreachable(let reason, let retryAfter):
            Problem(
                "platform-unreachable", status: 503, title: "Platform unreachable",
                detail: "The platform cannot be reached in time. " + (doubt.map(sentBefore) ?? "Nothing was sent.")
            ).inDoubt(doubt).with("executed", executed).retryAfter(seconds: retryAfter ?? 5)
                .with(debug: "platform: \(reason)")
        case .unusable(let status, let body):
            Problem(
                "platform-error", status: 502, title: "Platform error",
                detail: "The platform answered with status \(status) and no order. Whether it charged is unknown. "
                    + next(resend)
            ).platform(status, body).retryAfter(seconds: 30)
                .with(debug: "platform: status \(status): \(Verdict.bounded(body).prefix(200))")
        }
    }
}

extension Problem {
    /// With the charge's names in the log line.
    func about(_ attempt: ChargeLedger.Attempt) -> Problem {
        guard let debug else { return self }
        return with(debug: "charge \(attempt.charge) of \(attempt.subscription) as \(attempt.requestID): \(debug)")
    }

    fileprivate func inDoubt(_ doubt: String?) -> Problem { doubt == nil ? self : with("outcome", "unknown") }

    /// With the platform's status and a bounded part of its body.
    fileprivate func platform(_ status: Int, _ body: String) -> Problem {
        var copy = self
        copy.embedded["platform"] = "{\"status\":\(status),\"body\":\(JSON.quote(Verdict.bounded(body)))}"
        return copy
    }
}
