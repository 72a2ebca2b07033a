extension Manifest {
    /// Every header that the gateway adds, in one place: an `add_header` in a location drops those above it. One
    /// whose value is empty is not sent.
    func headers(hasCors: Bool) -> String {
        let cors = """
            add_header Access-Control-Allow-Origin $cors always;
            add_header Access-Control-Expose-Headers $exposed_headers always;
            add_header Access-Control-Allow-Methods $preflight always;
            add_header Access-Control-Allow-Headers $preflight_headers always;
            add_header Access-Control-Max-Age $preflight_age always;

            """
        return """
            add_header X-Request-Id $rid always;
            add_header traceparent $trace always;
            add_header X-Content-Type-Options nosniff always;
            add_header Content-Security-Policy $content_security_policy always;
            add_header Cache-Control $cache_control always;
            add_header Allow $allow_header always;
            add_header Retry-After $retry_after always;
            \(hasCors ? cors : "")
            """
    }

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
