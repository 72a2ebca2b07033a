/// Turns requests into invocations of one function, and whatever comes of them into answers and log lines.
struct Invoker<F: HTTPFunction>: Sendable {
    let function: F
    let process: Settings.Process

    /// Serves what the transport brings until it brings no more.
    /// - Parameter watch: that of the worker; `nil` where nobody watches.
    func serve(_ transport: inout some Transport & ~Copyable, _ watch: Watch? = nil) {
        while let request = transport.next() {
            serve(request, &transport, watch)
            watch?.end()
        }
    }

    private func serve(_ request: Request, _ transport: inout some Transport & ~Copyable, _ watch: Watch?) {
        let start = Clock.monotonicNanoseconds()
        let requestID = request.requestID ?? Identifier.uuid()
        let parent = request.headers["traceparent"].flatMap { Identifier.isTraceparent($0) ? $0 : nil }
        let context = Context(
            functionName: process.function, requestID: requestID, traceparent: parent,
            deadline: .after(milliseconds: process.timeoutMilliseconds - waitedMilliseconds(request)),
            caller: request.sourceIP)

        var route: RouteTemplate?
        var response = HTTPResponse()
        var failure: String?
        var isBrokenOff = false
        do {
            do {
                if request.isAbandoned() { throw ClientGone() }
                let event = try event(request, requestID: requestID, route: &route)
                if context.deadline.hasPassed { throw Self.waitedTooLong }
                watch?.begin(start: start, requestID: requestID, subject: "route", route?.key ?? request.rawPath)
                response = try function.handle(event, context)
            } catch let error where !(error is ClientGone) {
                response = answer(to: error, requestID, &failure)
            }
            try send(&response, request, context, &transport)
        } catch let error as BrokenResponse {
            failure = "broken off in the middle: \(error.cause)"
            isBrokenOff = true
        } catch is ClientGone {
            response.status = Self.clientGone
        } catch {
            // It failed before its first byte, or is none that can be sent: the client can still be told.
            response = answer(to: error, requestID, &failure)
            if (try? send(&response, request, context, &transport)) == nil { response.status = Self.clientGone }
        }
        let isFault = isBrokenOff || failure != nil && response.status >= 500
        var line = LogLine(level: !isFault ? "info" : response.status == 503 ? "warning" : "error")
        line.add("request_id", requestID)
        line.add("trace", context.traceparent)
        line.add("function", process.function)
        line.add("method", request.method)
        line.add("route", route?.key)
        line.add("status", response.status)
        line.add("duration_ms", nanoseconds: Clock.monotonicNanoseconds() - start)
        line.add("error", failure)
        line.write()
    }

    /// The gateway gives up two seconds after our time limit: whoever seems to have waited a minute longer comes from a
    /// gateway whose clock is behind ours.
    private func waitedMilliseconds(_ request: Request) -> Int {
        let waited = request.waitedMilliseconds
        return waited > process.timeoutMilliseconds + 60_000 ? 0 : waited
    }

    private func event(
        _ request: Request, requestID: String, route: inout RouteTemplate?
    ) throws(Problem) -> HTTPEvent {
        if let fault = request.fault { throw fault }
        let (template, parameters) = try match(request)
        route = template
        if var event = request.event {
            event.requestContext.requestID = requestID
            event.routeKey = template.key
            event.pathParameters = parameters
            return event
        }
        return HTTPEvent(
            routeKey: template.key, rawPath: request.rawPath, rawQueryString: request.rawQuery,
            headers: request.headers, queryStringParameters: PercentEncoding.query(request.rawQuery),
            pathParameters: parameters,
            requestContext: .init(
                method: request.method, path: request.rawPath, protocol: request.protocol,
                sourceIP: request.sourceIP, userAgent: request.headers["user-agent"] ?? "", requestID: requestID,
                timeEpoch: request.startedEpochMilliseconds),
            body: request.body)
    }

    /// The route of the request's path; for an event that brings path parameters, whatever its path, the one that has
    /// those.
    private func match(_ request: Request) throws(Problem) -> (RouteTemplate, [String: String]) {
        let method = request.method == "HEAD" ? "GET" : request.method
        let given = request.event?.pathParameters ?? [:]
        var allowed: [String] = []
        for template in process.routes {
            let found =
                given.isEmpty
                ? template.match(rawPath: request.rawPath) : template.parameters == Set(given.keys) ? [] : nil
            guard let raw = found else { continue }
            guard template.method == method else {
                allowed += template.method == "GET" ? ["GET", "HEAD"] : [template.method]
                continue
            }
            var parameters = given
            for (name, value) in raw {
                guard let text = PercentEncoding.decode(value), !text.utf8.contains(0) else {
                    throw .badRequest([
                        .init(
                            pointer: "/path/\(name)",
                            detail: "\(name) in the path must be percent-encoded UTF-8 without NUL.")
                    ])
                }
                parameters[name] = text
            }
            return (template, parameters)
        }
        if allowed.isEmpty { throw .noRoute }
        var problem = Problem(
            "method-not-allowed", status: 405, title: "Method not allowed",
            detail: "This path takes \(allowed.joined(separator: ", ")).")
        problem.headers.append(("Allow", allowed.joined(separator: ", ")))
        throw problem
    }

    private func send(
        _ response: inout HTTPResponse, _ request: Request, _ context: Context,
        _ transport: inout some Transport & ~Copyable
    ) throws {
        response.headers.append(("X-Request-Id", context.requestID))
        response.headers.append(("traceparent", context.traceparent))
        try transport.send(response, withBody: request.method != "HEAD")
    }

    private func answer(to error: any Error, _ requestID: String, _ failure: inout String?) -> HTTPResponse {
        let problem = (error as? any ProblemConvertible)?.problem ?? .internalError(debug: "\(error)")
        failure = problem.debug
        if failure == nil, problem.status >= 500 { failure = problem.detail }
        return problem.response(requestID: requestID)
    }

    /// nginx's code for a client that left, for the log.
    private static var clientGone: Int { 499 }

    private static var waitedTooLong: Problem {
        Problem(
            "unavailable", status: 503, title: "Service unavailable",
            detail: "Nothing was done: the request waited longer than its time limit. Try again."
        )
        .with("executed", "no").retryAfter(seconds: 1)
    }
}
