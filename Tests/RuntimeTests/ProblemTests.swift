import TestSupport
import Testing

@testable import Runtime

private func bytes(_ response: HTTPResponse) -> [UInt8] {
    guard case .bytes(let bytes) = response.body else { return [] }
    return bytes
}

@Suite struct ProblemTests {
    @Test func rendersItsMembersInTheOrderOfTheRFC() {
        var problem = Problem("club-not-found", status: 404, title: "Club not found", detail: "There is no club “9”.")
            .with("z", "last").with("a", "first").with(debug: "secret")
        problem.embedded["platform"] = #"{"status":402}"#
        problem.errors = [.init(pointer: "/x", detail: "wrong"), .init(pointer: "/y", detail: "worse")]
        let response = problem.response(requestID: "r-1")
        #expect(
            String(decoding: bytes(response), as: UTF8.self)
                == #"{"type":"/problems/club-not-found","title":"Club not found","status":404,"#
                + #""detail":"There is no club “9”.","instance":"urn:request:r-1","a":"first","z":"last","#
                + #""platform":{"status":402},"errors":[{"pointer":"/x","detail":"wrong"},"#
                + #"{"pointer":"/y","detail":"worse"}]}"#)
        #expect(response.status == 404)
        #expect(response.headers.map(\.value) == ["application/problem+json"])
    }

    @Test(arguments: ["\"\\/", "\u{0}\u{1F}\u{7F}\n\t", "\u{2028}\u{FEFF}\u{1F37A}é", "</script>", "\r\nX: y"])
    func staysValidJSONWhateverItsTextHolds(_ text: String) throws {
        let problem = Problem("x", status: 400, title: text, detail: text).with(text, text)
        var withFault = problem
        withFault.errors = [.init(pointer: text, detail: text)]
        let json = try TestJSON(parsing: bytes(withFault.response(requestID: "r")))
        #expect(json["title"]?.string == text)
        #expect(json["detail"]?.string == text)
        #expect(json[text]?.string == text)
        #expect(json["errors"]?.elements.first?["pointer"]?.string == text)
    }

    @Test func anInternalErrorSaysNothingButTheID() throws {
        let problem = Problem.internalError(debug: "password=hunter2")
        let text = String(decoding: bytes(problem.response(requestID: "r-9")), as: UTF8.self)
        #expect(!text.contains("hunter2"))
        #expect(text.contains("urn:request:r-9"))
    }
}
