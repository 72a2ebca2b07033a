/// Reports functions of different services whose executables would have one name: a package has one target of a name,
/// whatever folder it is in.
func reportSharedExecutables(among functions: [FunctionEntry], _ diagnostics: Diagnostics) {
    var owners: [String: FunctionEntry] = [:]
    for function in functions where function.handler.contains("/") {
        let owner = owners[function.executable] ?? function
        owners[function.executable] = owner
        if owner.handler != function.handler {
            diagnostics.report(
                "\(function.handler) would be the same executable as \(owner.handler) of function "
                    + "\"\(owner.name)\"; rename one of them",
                key: "\(function.key).handler", line: function.line)
        }
    }
}
