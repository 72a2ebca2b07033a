import FoundationEssentials
import Runtime
import TestSupport
import Testing

/// The function that README.md shows is one.
@Suite struct ExampleTests {
    @Test func theExampleIsWhatIsCompiledHere() throws {
        let readme = try String(contentsOfFile: Repository.root + "/README.md", encoding: .utf8)
        let examples = readme.split(separator: "```swift\n").dropFirst().compactMap { $0.split(separator: "```").first }
        let compiled = try String(
            contentsOfFile: Repository.root + "/Tests/DocumentsTests/Greeting.swift", encoding: .utf8)
        // A test target has its own entry point.
        #expect(examples.map { $0.replacing("@main\n", with: "") } == [compiled[...]])
    }

    @Test func theExampleAnswers() throws {
        let json = #"{"requestContext": {"http": {"method": "GET"}}, "pathParameters": {"name": "Ann"}}"#
        let event = try JSON.decode(HTTPEvent.self, from: Array(json.utf8))
        let context = Context(functionName: "greeting", requestID: "1", deadline: .never)
        let answer = try Greeting(Settings([:])).handle(event, context)
        guard case .bytes(let body) = answer.body else { throw BrokenMessage("a stream") }
        #expect(answer.status == 200 && String(decoding: body, as: UTF8.self) == "Hello Ann\n")
    }
}
