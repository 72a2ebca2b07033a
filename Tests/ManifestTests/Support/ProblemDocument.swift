import Foundation
import TestSupport

/// A complete problem of RFC 9457.
struct ProblemDocument: Decodable {
    let type: String
    let title: String
    let status: Int
    let detail: String
    let instance: String
    let executed: String?

    /// Throws unless `answer` is one.
    init(_ answer: HTTPProbe.Response) throws {
        self = try JSONDecoder().decode(ProblemDocument.self, from: Data(answer.body))
    }
}
