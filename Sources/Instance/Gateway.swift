import Outbound
import Runtime

/// The gateway on the loopback address, for waiting until the instance answers.
struct Gateway {
    let port: Int

    /// - Returns: status and body; `nil` when there was no HTTP answer within five seconds.
    func get(_ path: String) -> (status: Int, body: String)? {
        // A client for each call: one that is kept would leave a gateway alone that has not answered for a while.
        let outcome = HTTPClient()
            .get("http://127.0.0.1:\(port)\(path)", headers: [], deadline: .after(milliseconds: 5000))
        guard case .answered(let answer) = outcome else { return nil }
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }
}
