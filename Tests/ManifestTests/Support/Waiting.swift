import Glibc

struct ConditionNotMet: Error {
    let condition: String
}

/// Polls until `condition` gives a value, for at most a minute.
func waitUntil<Value>(_ description: String, _ condition: () throws -> Value?) throws -> Value {
    for _ in 0..<3000 {
        if let value = try condition() { return value }
        usleep(20_000)
    }
    throw ConditionNotMet(condition: description)
}
