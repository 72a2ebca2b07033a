import Messaging

/// Publishes the events of a service's outbox.
@main
enum Relay {
    static func main() { RelayProcess.run() }
}
