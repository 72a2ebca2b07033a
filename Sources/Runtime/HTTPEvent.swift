/// A request in the shape of API Gateway's payload 2.0, whatever transport brought it.
///
/// Header names are lower case; a header or query parameter that came several times has its values joined with commas.
public struct HTTPEvent: Sendable {
    public var routeKey: String
    /// The path as it was sent, still percent-encoded.
    public var rawPath: String
    public var rawQueryString: String
    public var headers: [String: String]
    public var queryStringParameters: [String: String]
    /// Matched from the raw path and percent-decoded once; those of an event file as given.
    public var pathParameters: [String: String]
    public var requestContext: RequestContext
    public var body: [UInt8]

    public struct RequestContext: Sendable {
        public var method: String
        public var path: String
        public var `protocol`: String
        public var sourceIP: String
        public var userAgent: String
        public var requestID: String
        /// Milliseconds since 1970-01-01 UTC.
        public var timeEpoch: Int
    }

    public var method: String { requestContext.method }

    /// The path parameter of that name.
    /// - Throws: a 404 problem when the route has none, which is a route that functions.yml and the code disagree on.
    public func path(_ name: String) throws(Problem) -> String {
        guard let value = pathParameters[name] else { throw .noRoute }
        return value
    }

    /// The value of a query parameter; `nil` when absent, with a NUL when it cannot be decoded.
    public func query(_ name: String) -> String? { queryStringParameters[name] }

    /// The value of a header, by its lower-case name.
    public func header(_ name: String) -> String? { headers[name] }
}

extension HTTPEvent: Decodable {
    private enum CodingKeys: String, CodingKey {
        case routeKey, rawPath, rawQueryString, headers, queryStringParameters, pathParameters
        case requestContext, body, isBase64Encoded
    }

    private enum ContextKeys: String, CodingKey { case http, requestId, timeEpoch }
    private enum HTTPKeys: String, CodingKey { case method, path, `protocol`, sourceIp, userAgent }

    /// Reads an event file. Whatever payload 2.0 lets be absent may be absent; the path parameters are taken as given.
    public init(from decoder: any Decoder) throws {
        let event = try decoder.container(keyedBy: CodingKeys.self)
        rawPath = try event.decodeIfPresent(String.self, forKey: .rawPath) ?? "/"
        rawQueryString = try event.decodeIfPresent(String.self, forKey: .rawQueryString) ?? ""
        let given = try event.decodeIfPresent([String: String].self, forKey: .headers) ?? [:]
        headers = Dictionary(given.map { ($0.key.lowercased(), $0.value) }) { $0 + "," + $1 }
        queryStringParameters =
            try event.decodeIfPresent([String: String].self, forKey: .queryStringParameters)
            ?? PercentEncoding.query(rawQueryString)
        pathParameters = try event.decodeIfPresent([String: String].self, forKey: .pathParameters) ?? [:]
        let text = try event.decodeIfPresent(String.self, forKey: .body) ?? ""
        if try event.decodeIfPresent(Bool.self, forKey: .isBase64Encoded) ?? false {
            guard let bytes = Base64.decode(text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .body, in: event, debugDescription: "body is not Base64, though isBase64Encoded is true")
            }
            body = bytes
        } else {
            body = Array(text.utf8)
        }
        let context = try event.nestedContainer(keyedBy: ContextKeys.self, forKey: .requestContext)
        let http = try context.nestedContainer(keyedBy: HTTPKeys.self, forKey: .http)
        let method = try http.decode(String.self, forKey: .method)
        requestContext = RequestContext(
            method: method.uppercased(),
            path: try http.decodeIfPresent(String.self, forKey: .path) ?? rawPath,
            protocol: try http.decodeIfPresent(String.self, forKey: .protocol) ?? "HTTP/1.1",
            sourceIP: try http.decodeIfPresent(String.self, forKey: .sourceIp) ?? "",
            userAgent: try http.decodeIfPresent(String.self, forKey: .userAgent) ?? "",
            requestID: try context.decodeIfPresent(String.self, forKey: .requestId) ?? "",
            timeEpoch: try context.decodeIfPresent(Int.self, forKey: .timeEpoch) ?? Clock.epochMilliseconds())
        routeKey = try event.decodeIfPresent(String.self, forKey: .routeKey) ?? "\(method) \(rawPath)"
    }
}
