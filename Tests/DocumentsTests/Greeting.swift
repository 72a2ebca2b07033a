import Runtime

/// `GET /greeting/{name}`
struct Greeting: HTTPFunction {
    init(_ settings: Settings) {}

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        .text("Hello \(try event.path("name"))\n")
    }
}
