public import Runtime

/// The refusals of the customers service, as the contract names them.
public enum CustomerProblem {
    static func notFound(_ id: String) -> Problem {
        Problem(
            "customer-not-found", status: 404, title: "Customer not found", detail: "There is no customer “\(id)”.")
    }

    /// Says nothing of who has it.
    public static let emailTaken = Problem(
        "email-taken", status: 409, title: "Email taken",
        detail: "A customer has this email already; upper and lower case are the same.")

    static func archived(_ id: String) -> Problem {
        Problem(
            "customer-archived", status: 409, title: "Customer archived",
            detail: "Customer \(id) is archived and does not change any more.")
    }

    static func changedMeanwhile(_ customer: Customer) -> Problem {
        Problem(
            "precondition-failed", status: 412, title: "Precondition failed",
            detail: "If-Match names other versions of customer \(customer.id) than its present one, "
                + "\(customer.entityTag): get it again and decide anew.")
    }

    /// So many wrote this customer at the same time that the request's time went by.
    static func contended(_ id: String) -> Problem {
        Problem(
            "customer-contended", status: 503, title: "Customer contended",
            detail: "Nothing was done: too many others change customer \(id) at this moment. Try again shortly."
        ).with("executed", "no").retryAfter(seconds: 1)
    }
}

/// An event about an email that no customer has, or none yet.
struct UnknownCustomer: Error, CustomStringConvertible {
    let description = "no customer has this email yet"
}

extension HTTPEvent {
    /// The customer id of the path.
    /// - Throws: 404 for a text that no customer can have as id.
    public func customerID() throws(Problem) -> String {
        let id = try path("id")
        guard id.utf8.count <= 36, !id.utf8.contains(0) else { throw CustomerProblem.notFound(id) }
        return id
    }
}

extension HTTPResponse {
    /// A customer with the ETag of its version.
    public static func customer(_ customer: Customer, status: Int = 200) throws -> HTTPResponse {
        try .json(customer, status: status).with(header: "ETag", customer.entityTag)
    }
}
