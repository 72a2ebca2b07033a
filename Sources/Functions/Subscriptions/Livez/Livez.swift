import Runtime

/// `GET /livez`: this process answers. It asks nobody else; `/readyz` does.
@main
struct Livez: HTTPFunction {
    init(_ settings: Settings) {}

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        .json(bytes: Array(#"{"status":"alive"}"#.utf8))
    }
}
