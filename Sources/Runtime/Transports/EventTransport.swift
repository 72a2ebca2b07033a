/// One event as JSON on standard input, its answer as JSON on standard output: the function by hand, without a server.
struct EventTransport: Transport, ~Copyable {
    private var isDone = false
    /// Whether the answer could not be written.
    private(set) var isResponseLost = false

    mutating func next() -> Request? {
        guard !isDone else { return nil }
        isDone = true
        var request = Request()
        do {
            let event = try JSON.decode(HTTPEvent.self, from: EventFile.read(limit: Self.eventLimit))
            request.event = event
            request.method = event.method
            request.rawPath = event.rawPath
            request.headers = event.headers
            request.sourceIP = event.requestContext.sourceIP
        } catch let fault as EventFile.TooLong {
            request.fault = Self.badEvent(fault.description)
        } catch {
            request.fault = Self.badEvent(
                "The event is not API Gateway payload 2.0 as JSON: \(DecodingFault(error).sentence)")
        }
        return request
    }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        // What no gateway could pass on is a fault here, too.
        _ = try ResponseHead.bytes(response)
        var body: [UInt8] = []
        switch response.body {
        case .bytes(let bytes): body = bytes
        case .stream(let produce):
            let collector = Collector()
            try produce(collector)
            body = collector.bytes
        }
        let text = String(validating: withBody ? body : [], as: UTF8.self)
        let payload = Payload(
            statusCode: response.status,
            headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { "\($0),\($1)" },
            body: text ?? Base64.encode(body), isBase64Encoded: text == nil)
        let line = try JSON.encode(payload)
        isResponseLost = true
        try StandardOutput.write(line: line)
        isResponseLost = false
    }

    private static func badEvent(_ reason: String) -> Problem {
        Problem("bad-event", status: 400, title: "Bad event", detail: reason)
    }

    /// Bytes: room for the longest body, however it is written, and the headers.
    private static var eventLimit: Int { 16 << 20 }

    private struct Payload: Encodable {
        let statusCode: Int
        let headers: [String: String]
        let body: String
        let isBase64Encoded: Bool
    }

    private final class Collector: BodyWriter {
        var bytes: [UInt8] = []
        func write(_ piece: UnsafeRawBufferPointer) { bytes.append(contentsOf: piece) }
    }
}
