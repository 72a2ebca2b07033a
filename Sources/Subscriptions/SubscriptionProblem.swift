public import Runtime

/// The refusals of the subscription service, as the contract names them.
public enum SubscriptionProblem {
    /// 404.
    /// - Parameter club: the id as it was asked for; perhaps no number.
    public static func clubNotFound(_ club: String) -> Problem {
        Problem("club-not-found", status: 404, title: "Club not found", detail: "There is no club “\(club)”.")
    }

    /// 409: the club is there, and takes no new subscriptions.
    static func clubNotActive(_ club: Int32) -> Problem {
        Problem(
            "club-not-active", status: 409, title: "Club not active",
            detail: "Club \(club) takes no new subscriptions: it is not active now.")
    }

    /// 409, whatever the status of the one there is.
    /// - Parameter existing: its id, which goes into the answer.
    static func alreadySubscribed(existing: String) -> Problem {
        Problem(
            "already-subscribed", status: 409, title: "Already subscribed",
            detail: "This customer has a subscription in this club; change its status instead of adding another."
        ).with("subscription_id", existing)
    }

    /// 404.
    /// - Parameter subscription: the id as it was asked for.
    public static func subscriptionNotFound(_ subscription: String) -> Problem {
        Problem(
            "subscription-not-found", status: 404, title: "Subscription not found",
            detail: "There is no subscription “\(subscription)”.")
    }
}

extension HTTPEvent {
    /// The subscription id of the path: any text of 1 to 36 characters.
    /// - Throws: 404 for anything longer or with a NUL, which cannot exist.
    public func subscriptionID() throws -> String {
        let id = try path("id")
        guard id.unicodeScalars.count <= 36, !id.utf8.contains(0) else {
            throw SubscriptionProblem.subscriptionNotFound(id)
        }
        return id
    }
}
