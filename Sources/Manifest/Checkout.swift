extension Manifest {
    /// Throws a ``ManifestError`` that lists every handler, outbox and parameter that the checkout does not have.
    /// - Parameters:
    ///   - services: those that have a database: the folders under `migrations/`.
    ///   - parameters: the names that `${param:…}` may have.
    ///   - handlers: the folders under `Sources/Functions/`, as `Service/Function`; nil where only the executables are.
    public func checkNames(services: [String], parameters: [String], handlers: [String]?) throws {
        var deployment = Deployment.host
        deployment.parameters = Dictionary(parameters.map { ($0, "") }) { first, _ in first }
        var problems: [ManifestError.Problem] = []
        for function in functions {
            func report(_ message: String, _ key: String) { problems.append(problem(message, of: function, at: key)) }
            if let handlers, !handlers.contains(function.handler) {
                let hint = nearestHint(to: function.handler, in: handlers)
                report("there is no folder Sources/Functions/\(function.handler)\(hint)", "handler")
            }
            if let service = function.outbox?.service, !services.contains(service) {
                let hint = nearestHint(to: service, in: services)
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
