import ArgumentParser
import Customers
import Instance
import Postgres
import Runtime

struct CustomersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "customers", abstract: "Looks after the customers service.", subcommands: [CustomersRebuild.self])
}

struct CustomersRebuild: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Makes the list of customers anew from their events.",
        discussion: """
            Every change keeps the list by itself. This is for a database whose list was lost or written by hand; the \
            events are never changed. Nothing has to stop meanwhile, and nobody sees a list that is half made. It \
            gives up when a transaction that uses the list, such as a dump, lasts one to two minutes longer.
            """)

    @OptionGroup var options: ScopeOption

    func run() throws {
        let url = try ScopeDatabases(scope: options.scope, followsInstance: true).url(service: "customers")
        func session() throws -> Connection {
            try Connection(url: url, command: "customers rebuild", options: ["timezone": "UTC"])
        }
        let count = try CustomerRebuild(reader: session(), writer: session()).run(deadline: .never)
        print("Rebuilt \(count) customers.")
    }
}
