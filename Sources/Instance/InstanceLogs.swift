import Manifest

extension Instance {
    /// Whose logs there are: every function, then what stands beside them.
    public var logNames: [String] {
        manifest.functions.map(\.name) + ["nginx"] + (record.databasePort == nil ? [] : ["postgres"])
            + (record.brokerPort == nil ? [] : ["rabbitmq"]) + ["supervisord"]
    }

    /// - Throws: `InstanceError` that lists the names when this is none of them.
    public func logName(_ name: String) throws -> String {
        guard logNames.contains(name) else {
            throw InstanceError("there is no log of \(name); there are: \(logNames.joined(separator: ", "))")
        }
        return name
    }

    /// The files that hold the log of a function or program.
    public func logFiles(of name: String) -> [String] {
        let names = name == "nginx" ? ["nginx", "access"] : [name]
        return names.map { "\(placement.logs)/\($0).log" }
    }
}
