import FoundationEssentials
import Yams

extension Manifest {
    /// Reads and checks the file at `path`.
    ///
    /// Throws a ``ManifestError`` with every problem of the file; one that cannot be read, or is no YAML, is one
    /// problem.
    public static func load(from path: String) throws -> Manifest {
        guard let data = FileManager.default.contents(atPath: path) else {
            let message = "cannot be read; name an existing functions.yml"
            throw ManifestError(problems: [.init(file: path, line: nil, key: "", message: message)])
        }
        return try parse(String(decoding: data, as: UTF8.self), file: path)
    }

    static func parse(_ text: String, file: String) throws -> Manifest {
        let diagnostics = Diagnostics(file: file)
        let functions = compose(text, diagnostics).map { read($0, diagnostics) } ?? []
        reportClashes(among: functions, diagnostics)
        reportSharedExecutables(among: functions, diagnostics)
        reportSharedQueues(among: functions, diagnostics)
        reportUnreadSignals(among: functions, diagnostics)
        if let error = diagnostics.error { throw error }
        return Manifest(functions: functions, warnings: diagnostics.warnings, file: file)
    }

    private static func compose(_ text: String, _ diagnostics: Diagnostics) -> Node? {
        do {
            if let node = try Yams.compose(yaml: text) { return node }
            diagnostics.report("is empty; it needs a mapping \"functions\"", line: nil)
        } catch let YamlError.duplicatedKeysInMapping(duplicates, context) {
            let names = duplicates.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
            diagnostics.report("has \(names) twice in one mapping; keep one", line: context.mark.line)
        } catch let YamlError.scanner(_, problem, mark, _) {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let hasTab = lines.dropFirst(mark.line - 1).first?.contains("\t") ?? false
            diagnostics.report(
                "is not valid YAML: \(problem)\(hasTab ? "; indent with spaces, not with a tab" : "")", line: mark.line)
        } catch let YamlError.parser(_, problem, mark, _) {
            diagnostics.report("is not valid YAML: \(problem)", line: mark.line)
        } catch let YamlError.composer(_, problem, mark, _) {
            diagnostics.report("is not valid YAML: \(problem)", line: mark.line)
        } catch {
            diagnostics.report("is not valid YAML: \(error)", line: nil)
        }
        return nil
    }

    private static func read(_ root: Node, _ diagnostics: Diagnostics) -> [FunctionEntry] {
        guard let top = Section(root, key: "", line: root.mark?.line, diagnostics: diagnostics) else { return [] }
        top.warnAboutKeys(except: ["service", "provider", "functions"])
        guard top.value("functions") != nil else {
            diagnostics.report("has no \"functions\"; list them under that key", line: nil)
            return []
        }
        guard let functions = top.section("functions") else { return [] }
        if functions.entries.isEmpty { top.report("lists no function", "functions") }
        return functions.entries.compactMap { entry in
            FunctionReader(name: entry.name, line: entry.line, value: entry.value, in: functions)?.read()
        }
    }
}
