/// An error answer as RFC 9457 describes it, thrown by handlers and rendered by the runtime as
/// `application/problem+json`. Its text is public: it names what is wrong and what to do, and holds no secret.
public struct Problem: Error, Sendable {
    /// One fault of the input: where (a JSON pointer into the body, or `/path/NAME`, `/query/NAME`) and what.
    public struct Fault: Encodable, Sendable, Equatable {
        public let pointer: String
        public let detail: String

        public init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    /// The last part of `type`, a stable name such as `club-not-found`.
    public let slug: String
    public let status: Int
    public let title: String
    public let detail: String
    public var errors: [Fault] = []
    /// Members beyond those of the RFC, such as `subscription_id`. Values are strings.
    public var extensions: [String: String] = [:]
    /// Further members whose values are JSON text, which goes into the answer as it is.
    public var embedded: [String: String] = [:]
    public var headers: [(name: String, value: String)] = []
    /// What the log line says beside the public text; never sent to the client.
    public private(set) var debug: String?

    public init(_ slug: String, status: Int, title: String, detail: String) {
        self.slug = slug
        self.status = status
        self.title = title
        self.detail = detail
    }

    /// The same problem with `Retry-After`.
    public func retryAfter(seconds: Int) -> Problem {
        var copy = self
        copy.headers.append(("Retry-After", String(seconds)))
        return copy
    }

    public func with(_ member: String, _ value: String) -> Problem {
        var copy = self
        copy.extensions[member] = value
        return copy
    }

    /// The same problem with what the log line says beside its text.
    public func with(debug: String) -> Problem {
        var copy = self
        copy.debug = debug
        return copy
    }
}

/// An error that knows which problem a client should see.
public protocol ProblemConvertible: Error {
    var problem: Problem { get }
}

extension Problem: ProblemConvertible {
    public var problem: Problem { self }
}

extension Problem {
    /// 400 with every fault at once.
    public static func badRequest(_ errors: [Fault]) -> Problem {
        var problem = Problem(
            "bad-request", status: 400, title: "Bad request",
            detail: errors.count == 1 ? errors[0].detail : "\(errors.count) values are wrong; see errors.")
        problem.errors = errors
        return problem
    }

    /// 404 for a path that the function does not serve.
    static let noRoute = Problem(
        "not-found", status: 404, title: "Not found", detail: "Nothing is served at this path.")

    /// 500; the detail says nothing but where to look.
    public static func internalError(debug: String) -> Problem {
        Problem(
            "internal-error", status: 500, title: "Internal error",
            detail: "The request failed on our side. Quote the request id in instance when you report it."
        ).with(debug: debug)
    }
}
