import Testing

@testable import Runtime

@Suite struct ResponseHeadTests {
    private func head(_ response: HTTPResponse) throws -> String {
        String(decoding: try ResponseHead.bytes(response), as: UTF8.self)
    }

    @Test func hasStatusHeadersAndLength() throws {
        #expect(
            try head(.text("hello").with(header: "X-A", "1"))
                == "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n")
    }

    @Test func aStreamHasNoLength() throws {
        #expect(try head(HTTPResponse(body: .stream { _ in })) == "Status: 200 OK\r\n\r\n")
    }

    @Test func noValueEndsItsLine() {
        for value in ["1\r\nSet-Cookie: evil\n\rX-B: 2\r\n\r\nbody", "\n", "\r"] {
            #expect(throws: InvalidResponse.self) { try head(.text("").with(header: "X-A", value)) }
        }
    }
}
