import FoundationEssentials

/// One line of the gateway's access log.
struct AccessLogEntry: Decodable {
    let request_id: String
    let method: String
    let uri: String
    let status: Int
    let request_time: Double
    let function: String
    let upstream_status: String
    let upstream_connect_time: String
    let upstream_response_time: String

    init(_ line: String) throws {
        self = try JSONDecoder().decode(AccessLogEntry.self, from: Data(line.utf8))
    }
}
