/// What lies beside functions.yml and must fit together with it.
public struct Checkout: Sendable {
    /// Those that have a database: the folders under `migrations/`.
    public let services: [String]
    /// The names that `${param:…}` may have.
    public let parameters: [String]
    /// The folders under `Sources/Functions/`, as `Service/Function`; nil where only the executables are.
    public let handlers: [String]?

    public init(services: [String], parameters: [String], handlers: [String]?) {
        self.services = services
        self.parameters = parameters
        self.handlers = handlers
    }
}

extension Manifest {
    /// Throws a ``ManifestError`` that lists every handler, outbox and parameter that `checkout` does not have.
    public func check(_ checkout: Checkout) throws {
        var deployment = Deployment.host
        deployment.parameters = Dictionary(checkout.parameters.map { ($0, "") }) { first, _ in first }
        var problems: [ManifestError.Problem] = []
        for function in functions {
            func report(_ message: String, _ key: String) { problems.append(problem(message, of: function, at: key)) }
            if let handlers = checkout.handlers, !handlers.contains(function.handler) {
                let hint = nearestHint(to: function.handler, in: handlers)
                report("there is no folder Sources/Functions/\(function.handler)\(hint)", "handler")
            }
            if let service = function.outbox?.service, !checkout.services.contains(service) {
                let hint = nearestHint(to: service, in: checkout.services)
                report("there is no service \(service), no folder migrations/\(service)\(hint)", "events")
            }
            do {
                _ = try environment(of: function, in: deployment)
            } catch let error as ManifestError {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw ManifestError(problems: problems, warnings: warnings) }
    }
}
