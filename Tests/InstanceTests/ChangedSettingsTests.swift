import TestSupport
import Testing

@testable import Instance

/// What `up` does with a function whose settings changed while it is at work.
@Suite struct ChangedSettingsTests {
    @Test("requests that come while it finishes are told at once that nothing was done") func refusedAtOnce() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        let finished = project.folder.path + "/probes/finished"
        try project.write(
            function: "Slow",
            script: """
                trap 'until [ -e "$FINISHED" ]; do sleep 0.1; done; exit 0' TERM
                while :; do sleep 1; done
                """)
        func write(timeout: Int) throws {
            try project.write(
                queue: "shop.paid",
                more: "  slow: {handler: Shop/Slow, timeout: \(timeout), environment: {FINISHED: \(finished)}, "
                    + "events: [{httpApi: GET /slow}]}")
        }
        try write(timeout: 50)
        try #require(instance.run("up").status == 0)

        try write(timeout: 51)
        let up = try instance.start("up")
        try Eventually.happens("the refusal") {
            let exchange = try HTTPProbe(port: instance.port).send("GET", "/slow")
            return try exchange.socket.waitForInput(milliseconds: 1000) && exchange.answer().status == 503
        }
        #expect(up.end == nil, "it has not finished yet")
        try project.folder.write("probes/finished", "")
        #expect(try up.waitForEnd() == .exited(0))
    }
}
