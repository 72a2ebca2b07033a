/// A set of paths and, per method, the function that answers there.
///
/// nginx chooses by path alone and only then looks at the method, so every shape knows all the methods of its paths,
/// also those of templates that contain it: with `GET /club/new` and `DELETE /club/{id}`, a DELETE of `/club/new`
/// belongs to the second.
struct Location {
    struct Target {
        let method: String
        let function: FunctionEntry
        let cors: Bool
    }

    let shape: PathShape
    /// In the order of the manifest; one per method.
    let targets: [Target]

    /// What a client may send, HEAD and OPTIONS included.
    var allowedMethods: [String] {
        Self.withHead(targets.map(\.method)) + (corsMethods.isEmpty ? [] : ["OPTIONS"])
    }

    /// What a page on another origin may send.
    var corsMethods: [String] { Self.withHead(targets.filter(\.cors).map(\.method)) }

    /// What a page on another origin must not send: without CORS a browser only hides the answer.
    var guardedMethods: [String] { targets.filter { !$0.cors && $0.method != "GET" }.map(\.method) }

    /// Every location of `functions`, in the order in which nginx must try them.
    static func all(of functions: [FunctionEntry]) -> [Location] {
        let routes = functions.flatMap { function in function.routes.map { (function: function, route: $0) } }
        return closed(routes.map(\.route.shape)).map { shape in
            var best: [String: Int] = [:]
            for (index, candidate) in routes.enumerated() where candidate.route.shape.contains(shape) {
                let method = candidate.route.method
                if let other = best[method],
                    routes[other].route.shape.literalCount >= candidate.route.shape.literalCount
                {
                    continue
                }
                best[method] = index
            }
            let targets = best.values.sorted().map { index in
                Target(
                    method: routes[index].route.method, function: routes[index].function,
                    cors: routes[index].route.cors)
            }
            return Location(shape: shape, targets: targets)
        }
    }

    /// HEAD beside every GET.
    static func withHead(_ methods: [String]) -> [String] {
        methods.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }
    }

    /// The shapes and all their intersections, literal ones first, the narrower before the wider.
    private static func closed(_ shapes: [PathShape]) -> [PathShape] {
        var all = Set(shapes)
        var fresh = all
        while !fresh.isEmpty {
            let found = Set(fresh.flatMap { a in all.compactMap { a.intersection($0) } })
            fresh = found.subtracting(all)
            all.formUnion(fresh)
        }
        return all.sorted { a, b in
            a.isLiteral == b.isLiteral ? a.precedes(b) : a.isLiteral
        }
    }
}
