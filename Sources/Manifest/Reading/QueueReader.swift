import Messaging
import Runtime
import Yams

/// Reads `rabbitmq: {queue: NAME, routingKey: TYPE, …}`.
struct QueueReader {
    private static let keys = ["queue", "exchange", "routingKey", "prefetch", "batchSize", "retry", "deadLetter"]
    /// One more queue for each.
    private static let mostDelays = 10
    private static let longestSeconds = 86_400

    /// The mapping with the key `rabbitmq`.
    let event: Section

    /// Nil, with a report, when it is none.
    func read() -> QueueTrigger? {
        guard let section = event.section("rabbitmq") else { return nil }
        section.warnAboutKeys(except: Self.keys)
        if section.value("queue") == nil { section.report("is missing; name the queue to consume", "queue") }
        let queue = section.brokerName("queue", of: "a queue")
        let deadLetter = section.brokerName("deadLetter", of: "a queue")
        let exchange = section.brokerName("exchange", of: "an exchange") ?? ConsumerTopology.defaultExchange
        let routingKeys = routingKeys(section)
        let prefetch = section.integer("prefetch", .prefetch, of: "events")
        let batchSize = section.integer("batchSize", .consumerBatch, of: "events")
        if batchSize > prefetch {
            section.report("must be at most prefetch, which is \(prefetch), not \(batchSize)", "batchSize")
        }
        let retry = retry(section)
        guard let queue, let routingKeys, let retry else { return nil }
        return QueueTrigger(
            topology: ConsumerTopology(
                queue: queue, exchange: exchange, routingKeys: routingKeys, retry: retry, deadLetter: deadLetter),
            prefetch: prefetch, batchSize: batchSize)
    }

    private func routingKeys(_ section: Section) -> [String]? {
        guard section.value("routingKey") != nil else {
            section.report("is missing; name the type of events, or a list of them", "routingKey")
            return nil
        }
        guard let keys = section.strings("routingKey") else { return nil }
        if keys.isEmpty { section.report("is empty; without a type no event comes", "routingKey") }
        var isSound = !keys.isEmpty
        for (index, key) in keys.enumerated() {
            if key.utf8.count > 200 || key.wholeMatch(of: /([A-Za-z0-9_-]+|\*|#)(\.([A-Za-z0-9_-]+|\*|#))*/) == nil {
                section.report(
                    "must be words of letters, digits, _ and -, or * or #, with dots between them and at most 200 "
                        + "characters, not \"\(key)\"", "routingKey")
                isSound = false
            }
            if keys[..<index].contains(key) {
                section.report("has \"\(key)\" twice; keep one", "routingKey")
                isSound = false
            }
        }
        return isSound ? keys : nil
    }

    /// In seconds.
    private func retry(_ section: Section) -> [Int]? {
        guard section.value("retry") != nil else { return ConsumerTopology.defaultRetry }
        guard let texts = section.strings("retry") else { return nil }
        var delays: [Int] = []
        if texts.count > Self.mostDelays {
            section.report("must be at most \(Self.mostDelays) delays, not \(texts.count)", "retry")
        }
        for text in texts {
            guard let delay = TimeSpan(text), (1...Self.longestSeconds).contains(delay.seconds) else {
                section.report("must be delays from 1s to 24h, as in [5s, 30s, 2m, 10m, 1h], not \"\(text)\"", "retry")
                continue
            }
            if delays.contains(delay.seconds) {
                section.report("has \(delay) twice; keep one", "retry")
            } else {
                delays.append(delay.seconds)
            }
        }
        return delays.count == texts.count ? delays : nil
    }
}

extension Section {
    /// The name of a queue or an exchange, 1 to 200 bytes.
    func brokerName(_ name: String, of thing: String) -> String? {
        guard let text = string(name) else { return nil }
        guard text.utf8.count <= 200, text.wholeMatch(of: /[A-Za-z0-9._-]+/) != nil else {
            report("must be \(thing)'s name, 1 to 200 letters, digits, dots, _ and -, not \"\(text)\"", name)
            return nil
        }
        guard !text.hasPrefix("amq.") else {
            report("must not start with amq., which is the broker's own, as \"\(text)\" does", name)
            return nil
        }
        return text
    }
}
