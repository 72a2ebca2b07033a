extension Manifest {
    /// The paths that nginx keeps for itself.
    static let internalPaths = ["/_problem", "/_no_answer", "/_cross_origin"]

    /// The gateway's own errors. The locations have a URI, not a name: a named one makes an over-long URI a 500.
    func errorPages(hasCors: Bool) -> String {
        let alike = GatewayProblem.refusals + [.internalError]
        let cases = alike.map { problem in
            let wait = problem.retryAfter.map { "set $retry_after \($0); " } ?? ""
            // nginx may refuse these before the location says whether the route has CORS.
            let cors = hasCors && [400, 413, 414, 431, 501].contains(problem.status) ? "set $cors *; " : ""
            return "    if ($status = \(problem.status)) { \(wait)\(cors)return 200 \(problem.body()); }"
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
                set $retry_after 5;
                return 200 \(GatewayProblem.timeout.body(executed: "unknown"));
            }

            location = /_no_answer {
                internal;
                default_type application/problem+json;
                if ($executed = unknown) { return 502 \(GatewayProblem.badGateway.body(executed: "unknown")); }
                set $retry_after 1;
                return 503 \(GatewayProblem.unavailable.body(executed: "no"));
            }

            location = /_cross_origin {
                internal;
                default_type application/problem+json;
                set $cors "";
                return 403 \(GatewayProblem.crossOrigin.body());
            }

            """
    }
}
