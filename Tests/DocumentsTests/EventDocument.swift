import FoundationEssentials
import TestSupport
import Yams

/// asyncapi.yml, as far as the tests look into it.
struct EventDocument {
    let document: APIDocument

    static func load() throws -> EventDocument { EventDocument(document: try APIDocument(readText("asyncapi.yml"))) }

    /// The types of events that we send, or that we receive.
    func types(_ action: String) throws -> Set<String> {
        let operations = (document.root["operations"]?.mapping ?? [:]).map(\.value).filter {
            $0["action"]?.string == action
        }
        return try Set(
            operations.map { operation in
                guard let channel = operation["channel"], let type = try document.resolved(channel)["address"]?.string
                else { throw APIDocument.Unreadable(reason: "an operation has no channel with an address") }
                return type
            })
    }

    /// The one message of a type.
    func message(_ type: String) throws -> Node {
        let channels = (document.root["channels"]?.mapping ?? [:]).map(\.value)
        guard let channel = channels.first(where: { $0["address"]?.string == type }),
            let message = channel["messages"]?.mapping?.first?.value
        else { throw APIDocument.Unreadable(reason: "\(type) has no channel with a message") }
        return try document.resolved(message)
    }

    /// Every member that a schema describes, by its path: `/customer/address/city`.
    func members(of schema: Node, _ path: String = "") throws -> Set<String> {
        var found: Set<String> = []
        for (name, member) in try document.resolved(schema)["properties"]?.mapping ?? [:] {
            let place = "\(path)/\(name.string ?? "")"
            found.insert(place)
            found.formUnion(try members(of: member, place))
        }
        return found
    }
}

/// Every member of a JSON object, by its path.
func members(of value: TestJSON, _ path: String = "") -> Set<String> {
    guard case .object(let object) = value else { return [] }
    return object.reduce(into: []) { found, member in
        found.insert("\(path)/\(member.key)")
        found.formUnion(members(of: member.value, "\(path)/\(member.key)"))
    }
}
