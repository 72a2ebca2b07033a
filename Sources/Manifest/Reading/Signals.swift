/// Reports every function that wakes the relay of an outbox which no function publishes: its events would wait for ever.
func reportUnreadSignals(among functions: [FunctionEntry], _ diagnostics: Diagnostics) {
    let published = Set(functions.compactMap(\.outbox?.service))
    for function in functions {
        for (name, value) in function.environment {
            for case .parameter(let parameter) in VariableText(value).pieces where parameter.hasPrefix("signals.") {
                let service = parameter.dropFirst("signals.".count)
                guard !published.contains(String(service)) else { continue }
                diagnostics.report(
                    "\(parameter) wakes nobody: no function publishes the outbox of \(service); add one with "
                        + "the event outbox: {service: \(service)}",
                    key: "\(function.key).environment.\(name)", line: function.line)
            }
        }
    }
}
