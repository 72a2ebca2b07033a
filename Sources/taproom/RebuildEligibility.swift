import ArgumentParser
import Instance
import Postgres
import Runtime
import Subscriptions

struct RebuildEligibility: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Computes anew from the histories who is eligible when.",
        discussion: """
            Triggers keep this up to date by themselves. It is for a database that was written while they were switched \
            off, such as one restored from its data alone; taproom doctor finds it out. Nothing has to stop meanwhile.
            """)

    @OptionGroup var options: ScopeOption

    func run() throws {
        let url = try ScopeDatabases(scope: options.scope, followsInstance: true).url(service: "subscriptions")
        let connection = try Connection(url: url, command: "rebuild-eligibility")
        let left = try EligibilityUpkeep(connection).rebuild(deadline: .never)
        print(left == 0 ? "Rebuilt." : "Rebuilt, but for \(left) that are being written and settle by themselves.")
    }
}
