/// What a start leaves of an instance whose configuration nobody has any more.
public enum StartedInstance {
    /// Writes the record of one in the scope `staging`.
    /// - Returns: its state folder.
    public static func record(in folder: TemporaryFolder, service: String, database: String) throws -> String {
        let state = folder.path + "/state"
        try folder.write(
            "state/instance.json",
            """
            {"state": "\(state)", "data": "\(state)", "run": "\(state)/run", "scope": "staging", "gatewayPort": 1,
             "configurationFile": "\(folder.path)/gone.json", "databases": {"\(service)": "\(database)"},
             "parameters": {}}
            """)
        return state
    }
}
