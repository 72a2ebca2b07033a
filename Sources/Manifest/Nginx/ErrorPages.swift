extension Manifest {
    /// The paths that nginx keeps for itself.
    static let internalPaths = ["/_problem", "/_no_answer", "/_cross_origin"]

    /// The gateway's own errors. The locations have a URI, not a name: a named one makes an over-long URI a 500.
    func errorPages(hasCors: Bool) -> String {
        let alike = GatewayProblem.refusals + [.internalError]
        let cases = alike.map { problem in
            // nginx may refuse these before the location says whether the route has CORS.
            let cors = hasCors && [400, 413, 414, 431, 501].contains(problem.status) ? "set $cors *; " : ""
            return "    if ($status = \(problem.status)) { \(cors)\(problem.reply()) }"
        }
        return """
            error_page \(alike.map { "\($0.status)" }.joined(separator: " ")) 504 /_problem;
            error_page 494 =431 /_problem;
            error_page 502 = /_no_answer;

            # Its 200 stands for the status that led here.
            location = /_problem {
                internal;
                default_type application/problem+json;
            \(cases.joined(separator: "\n"))
                \(GatewayProblem.timeout.reply(executed: "unknown"))
            }

            location = /_no_answer {
                internal;
                default_type application/problem+json;
                if ($executed = unknown) { \(GatewayProblem.badGateway.reply(as: 502, executed: "unknown")) }
                \(GatewayProblem.unavailable.reply(as: 503, executed: "no"))
            }

            location = /_cross_origin {
                internal;
                default_type application/problem+json;
                set $cors "";
                \(GatewayProblem.crossOrigin.reply(as: 403))
            }

            """
    }
}
