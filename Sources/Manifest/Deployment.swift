/// Where and as whom one instance runs. All folders are absolute paths without a trailing slash; whoever renders
/// makes them, with the owners and modes that the sockets need (0750, group of the gateway).
public struct Deployment: Sendable {
    public var gatewayPort: Int
    /// One socket per function, and supervisord's own.
    public var socketFolder: String
    public var executableFolder: String
    /// Where functions find libraries that are not the host's own, before all others; nil when there are none.
    public var libraryFolder: String?
    /// One file per function and program, appended to; `access.log` is the gateway's.
    public var logFolder: String
    /// The gateway's buffers for bodies and answers that do not fit into memory.
    public var temporaryFolder: String
    public var pidFolder: String
    /// Holds `openapi.yml` and, in `docs`, the page that shows it; nil serves neither. The gateway's workers must be
    /// able to read it.
    public var documentsFolder: String?
    /// Whom the functions and the gateway's workers run as; nil keeps whoever starts them. Only root can switch.
    public var user: String?
    /// Group of the sockets and of the gateway's workers; nil means the user's own.
    public var group: String?
    /// Values for `${param:NAME}` in the environment of functions.
    public var parameters: [String: String]

    /// Longest path that bind(2) takes for a Unix socket on Linux: sun_path less its final NUL.
    public static let longestSocketPath = 107

    public init(
        gatewayPort: Int, socketFolder: String, executableFolder: String,
        libraryFolder: String? = nil, logFolder: String, temporaryFolder: String, pidFolder: String,
        documentsFolder: String? = nil, user: String? = nil, group: String? = nil, parameters: [String: String] = [:]
    ) {
        self.gatewayPort = gatewayPort
        self.socketFolder = socketFolder
        self.executableFolder = executableFolder
        self.libraryFolder = libraryFolder
        self.logFolder = logFolder
        self.temporaryFolder = temporaryFolder
        self.pidFolder = pidFolder
        self.documentsFolder = documentsFolder
        self.user = user
        self.group = group
        self.parameters = parameters
    }

    /// The layout of a Debian host, which the committed `nginx.conf` is rendered for.
    public static let host = Deployment(
        gatewayPort: 8080, socketFolder: "/run/taproom", executableFolder: "/usr/lib/taproom",
        logFolder: "/var/log/taproom", temporaryFolder: "/var/cache/taproom", pidFolder: "/run/taproom",
        documentsFolder: "/usr/share/taproom", user: "www-data", group: "www-data")

    func socket(of function: FunctionEntry) -> String { "\(socketFolder)/\(function.name).sock" }
    func log(of name: String) -> String { "\(logFolder)/\(name).log" }
}

/// Something that is supervised beside the functions: a database, the gateway.
public struct Program: Sendable {
    /// Letters, digits, `-` and `_`; no function may have it. Its output goes to `NAME.log`.
    let name: String
    /// The words of the command, the executable first; nothing in them is expanded. It must stay in the foreground.
    let command: [String]
    let stopSignal: String
    /// Seconds from the stop signal to SIGKILL.
    let stopTimeout: Int
    /// Nil keeps supervisord's own user.
    let user: String?
    /// Lower ones start first and stop last; functions have ``functionPriority``.
    let priority: Int
    let environment: [(String, String)]

    static let functionPriority = 100

    public init(
        name: String, command: [String], stopSignal: String = "TERM", stopTimeout: Int = 60, user: String? = nil,
        priority: Int, environment: [(String, String)] = []
    ) {
        self.name = name
        self.command = command
        self.stopSignal = stopSignal
        self.stopTimeout = stopTimeout
        self.user = user
        self.priority = priority
        self.environment = environment
    }
}
