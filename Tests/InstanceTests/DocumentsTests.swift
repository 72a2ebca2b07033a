import Foundation
import TestSupport
import Testing

@testable import Instance

@Suite struct DocumentsTests {
    let folder: TemporaryFolder
    let documents: Documents

    init() throws {
        folder = try TemporaryFolder()
        documents = Documents(project: folder.path + "/project", target: folder.path + "/served")
        try folder.write("project/openapi.yml", "openapi: 3.1.0")
        try folder.write("project/web/docs/index.html", "<p>page</p>")
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: folder.path + path)[.posixPermissions] as? Int
    }

    @Test("the gateway's user can read the description and the page") func readableByGateway() throws {
        try folder.write("project/.build/swagger-ui/swagger-ui.css", "p {}")
        try documents.install(Progress())
        #expect(try folder.read("served/openapi.yml") == "openapi: 3.1.0")
        #expect(try folder.read("served/docs/index.html") == "<p>page</p>")
        #expect(try folder.read("served/docs/swagger-ui.css") == "p {}")
        for path in ["/served/openapi.yml", "/served/docs/index.html"] { #expect(try mode(path) == 0o644) }
        for path in ["/served", "/served/docs"] { #expect(try mode(path) == 0o755) }
    }

    @Test("what changed in the checkout is served") func changesServed() throws {
        try documents.install(Progress())
        try folder.write("project/openapi.yml", "openapi: 3.1.1")
        try documents.install(Progress())
        #expect(try folder.read("served/openapi.yml") == "openapi: 3.1.1")
    }

    @Test("without Swagger UI the description is served and the page is not") func withoutSwaggerUI() throws {
        try documents.install(Progress())
        #expect(try folder.read("served/openapi.yml") == "openapi: 3.1.0")
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/served/docs"))
    }

    @Test("a missing description is named") func missingDescription() throws {
        try folder.remove("project/openapi.yml")
        #expect {
            try documents.install(Progress())
        } throws: { error in
            "\(error)" == "\(folder.path)/project/openapi.yml cannot be read: it is part of the checkout"
        }
    }
}
