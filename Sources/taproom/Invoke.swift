import ArgumentParser
import Foundation
import Instance

struct Invoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs one function on an event, with the environment that it has in the instance.",
        discussion: """
            The event is JSON as API Gateway sends it (payload 2.0), {} for a scheduled function, and a CloudEvent \
            ({"specversion": "1.0", "id": …, "type": …, "source": …, "data": {…}}) for one that consumes a queue. The \
            response goes to standard output, the function's log lines to standard error; the exit status is the \
            function's.
            """)

    @Argument(help: "The function's name in functions.yml.")
    var name: String

    @Option(help: "The file with the event; - is standard input.")
    var event: String

    func run() throws {
        let invocation = try Instance.started(try Project.find()).invocation(of: name)
        if event != "-" {
            let file = open(event, O_RDONLY)
            guard file >= 0, dup2(file, STDIN_FILENO) == 0 else {
                throw ValidationError("cannot read \(event): \(String(cString: strerror(errno)))")
            }
            close(file)
        }
        try invocation.replaceProcess()
    }
}
