import FoundationEssentials
import Manifest
import TestSupport
import Yams

/// openapi.yml, as far as the tests look into it.
struct APIDocument {
    let root: Node

    init(_ text: String) throws {
        guard let root = try Yams.compose(yaml: text) else { throw Unreadable(reason: "it is empty") }
        self.root = root
    }

    static func load() throws -> APIDocument { try APIDocument(readText("openapi.yml")) }

    struct Unreadable: Error {
        let reason: String
    }

    /// One operation, in the words of `functions.yml`: `POST /club/{id}/subscribe/`.
    struct Operation: Equatable {
        let method: String
        let path: String
        /// Names of the path parameters that it describes, in alphabetical order.
        let parameters: [String]

        var name: String { "\(method) \(path)" }
    }

    func operations() throws -> [Operation] {
        guard let paths = root["paths"]?.mapping else { throw Unreadable(reason: "it has no paths") }
        return try paths.flatMap { path, item in
            try Self.methods.compactMap { method -> Operation? in
                guard let operation = item[method] else { return nil }
                let parameters = try (described(item) + described(operation)).sorted()
                return Operation(method: method.uppercased(), path: path.string ?? "", parameters: parameters)
            }
        }
    }

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    private func described(_ node: Node) throws -> [String] {
        try (node["parameters"]?.array() ?? []).compactMap { parameter in
            let parameter = try resolved(parameter)
            guard parameter["in"]?.string == "path" else { return nil }
            return parameter["name"]?.string
        }
    }

    /// What a node stands for: itself, or what its `$ref` names.
    func resolved(_ node: Node) throws -> Node {
        guard let reference = node["$ref"]?.string else { return node }
        guard let found = target(of: reference) else {
            throw Unreadable(reason: "\(reference) names nothing")
        }
        return found
    }

    func target(of reference: String) -> Node? {
        guard reference.hasPrefix("#/") else { return nil }
        return reference.dropFirst(2).split(separator: "/").reduce(root as Node?) { node, name in
            node?[String(name).replacing("~1", with: "/").replacing("~0", with: "~")]
        }
    }
}

extension Manifest {
    /// Its routes as the document must have them.
    var operations: [APIDocument.Operation] {
        functions.flatMap(\.routes).map { route in
            let parameters = route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map {
                String($0.dropFirst().dropLast())
            }
            return .init(method: route.method, path: route.path, parameters: parameters.sorted())
        }
    }
}

/// In what routes and document differ, one sentence each.
func differences(_ routes: [APIDocument.Operation], _ documented: [APIDocument.Operation]) -> [String] {
    let undocumented = routes.filter { route in !documented.contains { $0.name == route.name } }
    let unrouted = documented.filter { operation in !routes.contains { $0.name == operation.name } }
    let parameters = routes.compactMap { route -> String? in
        guard let operation = documented.first(where: { $0.name == route.name }), operation != route else { return nil }
        return "\(route.name) has the parameters \(route.parameters), openapi.yml describes \(operation.parameters)"
    }
    return undocumented.map { "\($0.name) is in functions.yml and not in openapi.yml" }
        + unrouted.map { "\($0.name) is in openapi.yml and not in functions.yml" } + parameters
}

extension Node {
    /// Every node below this one and itself, with its path.
    func walk(_ path: String = "#", _ visit: (String, Node) -> Void) {
        visit(path, self)
        for (key, value) in mapping ?? [:] { value.walk("\(path)/\(key.string ?? "")", visit) }
        for (index, value) in (sequence ?? []).enumerated() { value.walk("\(path)/\(index)", visit) }
    }
}

/// A file of the package by its path from the top.
func readText(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: "\(Repository.root)/\(path)") else {
        throw APIDocument.Unreadable(reason: "\(path) is not there")
    }
    return String(decoding: data, as: UTF8.self)
}
