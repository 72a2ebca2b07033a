import Foundation
import Glibc
import Manifest
import Runtime

/// Where the parts of one instance lie. Everything is in the state folder, unless the users who run the parts cannot
/// reach it or its path is too long for a socket; what lies elsewhere is linked from there.
public struct Placement: Sendable, Equatable {
    /// The folder that names the instance: configuration of the parts, what is remembered.
    let state: String
    /// Database cluster, broker, executables, logs, temporary files: what other users must reach.
    let data: String
    /// Sockets and pid files.
    let run: String

    public var logs: String { data + "/log" }
    var executables: String { data + "/bin" }
    /// Of the executables.
    var libraries: String { "\(executables)/\(Binaries.libraries)" }
    /// What the gateway serves as files; its workers read it.
    var documents: String { data + "/documents" }
    /// The page that shows the API's description; absent until Swagger UI was fetched.
    public var documentPage: String { documents + "/docs" }
    var temporary: String { data + "/tmp" }
    var cluster: String { data + "/postgres" }
    var broker: String { data + "/rabbitmq" }
    /// What the broker itself writes; the folder around it is the instance's.
    var brokerHome: String { broker + "/node" }
    var functionSockets: String { run + "/functions" }
    /// The named pipe that wakes the relay of a service's outbox.
    func signal(of service: String) -> String { "\(functionSockets)/\(service).signal" }
    var supervisorSocket: String { functionSockets + "/supervisor.sock" }
    var databaseSocket: String { run + "/postgres" }
    /// See ``DeclaredQueues``.
    var declaredQueues: String { state + "/queues.json" }
    var nginxConfiguration: String { state + "/nginx.conf" }
    /// What nginx was last told to read.
    var nginxRead: String { run + "/nginx.read" }
    var supervisorConfiguration: String { state + "/supervisord.conf" }
}

extension Placement {
    /// - Parameters:
    ///   - state: absolute path of the state folder, without symbolic links.
    ///   - switchesUser: whether parts run as other users, who must be able to enter `data`.
    ///   - uid: the user who runs this.
    ///   - longestSocketName: length in bytes of the longest file name in `functionSockets`.
    ///   - runtimeFolder: XDG_RUNTIME_DIR, when there is one.
    ///   - known: where an earlier start put `data` when that was elsewhere. It stays there, whatever changed since.
    ///   - isTraversable: whether everybody may enter this folder and all above it.
    init(
        state: String, switchesUser: Bool, uid: uid_t, longestSocketName: Int, runtimeFolder: String?,
        known: String? = nil, isTraversable: (String) -> Bool
    ) {
        let name = "taproom-" + Self.digest(state)
        self.state = state
        data = known ?? (!switchesUser || isTraversable(state) ? state : "/var/lib/taproom/\(name)")
        let near = data + "/run"
        // supervisord binds its own socket, beside the functions', under a temporary name that ends in its pid.
        let longest = "/functions/".utf8.count + max(longestSocketName, "supervisor.sock.4194304".utf8.count)
        if near.utf8.count + longest <= Deployment.longestSocketPath {
            run = near
        } else if switchesUser {
            run = "/run/\(name)"
        } else if let runtimeFolder, !runtimeFolder.isEmpty {
            run = "\(runtimeFolder)/\(name)"
        } else {
            run = "/tmp/taproom-\(uid)-\(Self.digest(state))"
        }
    }

    /// The placement for the user who runs this.
    /// - Parameters:
    ///   - sockets: names of the files in `functionSockets`.
    ///   - known: what is remembered of an earlier start.
    static func current(
        state: String, accounts: Accounts, sockets: [String], environment: [String: String], known: InstanceRecord?
    ) -> Placement {
        Placement(
            state: state, switchesUser: accounts.switchesUser, uid: geteuid(),
            longestSocketName: sockets.map(\.utf8.count).max() ?? 0,
            runtimeFolder: environment["XDG_RUNTIME_DIR"], known: known?.dataElsewhere, isTraversable: isTraversable)
    }

    /// Where an instance lies whose record is lost: what is elsewhere is linked from the state folder, under a name that
    /// only this folder's instance has.
    static func found(in state: String) -> Placement {
        func target(_ name: String) -> String {
            let target = resolve("\(state)/\(name)")
            return target.contains(digest(state)) ? target : "\(state)/\(name)"
        }
        return Placement(
            state: state, data: (target("bin") as NSString).deletingLastPathComponent, run: target("run"))
    }

    /// Throws for a path that not every part can be told.
    func check(hasEmbeddedDatabase: Bool) throws {
        for folder in [data, run] {
            // For PostgreSQL and its clients a comma ends the name of a socket's folder.
            let isList = hasEmbeddedDatabase && folder == run && folder.contains(",")
            let rules = [
                ("supervisord", Deployment.refusedBySupervisord(folder)), ("nginx", Deployment.refusedByNginx(folder)),
                ("PostgreSQL", isList ? "no comma" : nil),
            ]
            for case (let part, let rule?) in rules {
                throw InstanceError(
                    "\(part) cannot be told of \(folder): set TAPROOM_STATE to a folder with \(rule) in its path")
            }
        }
    }

    /// Whether everybody may enter `path` and every folder above it.
    static func isTraversable(_ path: String) -> Bool {
        var folder = URL(fileURLWithPath: path)
        while true {
            var status = stat()
            guard stat(folder.path, &status) == 0, status.st_mode & S_IXOTH != 0 else { return false }
            if folder.path == "/" { return true }
            folder.deleteLastPathComponent()
        }
    }

    /// 64 bits (FNV-1a): short, the same at each start, and another for each text, such as a path.
    static func digest(_ text: String) -> String {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Hexadecimal.encode(withUnsafeBytes(of: hash.bigEndian) { Array($0) })
    }
}
