/// A function: one executable, one kind of event, one handler.
///
/// The runtime makes one value per process and calls `handle` from as many threads as `reservedConcurrency` in
/// functions.yml says, each with one invocation at a time. The handler blocks where it must.
public protocol Function<Event, Output>: Sendable {
    associatedtype Event
    associatedtype Output

    /// Runs once per process, before the first event. It must not wait for outside systems: a database that is down at
    /// start is a 503 for those who ask, not an exit. When it throws, or has recorded faults in `settings`, the process
    /// ends with status 78 and a log line that lists them all.
    init(_ settings: Settings) throws

    /// It returns by the context's deadline: one that has not returned a few seconds after the time limit is considered
    /// stuck, and its process ends once its other invocations are done (see `Workers`).
    /// - Throws: anything. An error that is `ProblemConvertible` is answered as its problem, every other one as a 500
    ///   that says nothing but the request id, with the error's text in the log.
    func handle(_ event: Event, _ context: Context) throws -> Output
}

/// A function behind HTTP routes.
///
/// ```swift
/// @main
/// struct Greet: HTTPFunction {
///     init(_ settings: Settings) {}
///     func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
///         .text("Hello \(try event.path("name"))\n")
///     }
/// }
/// ```
public protocol HTTPFunction: Function where Event == HTTPEvent, Output == HTTPResponse {}

extension HTTPFunction {
    /// The process: serves FastCGI when its standard input is a listening socket, answers one plain CGI request when a
    /// web server started it, one JSON event with `--event`.
    public static func main() { HTTPProcess.run(Self.self) }
}
