import ArgumentParser
import Foundation
import Instance

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks for what is missing or broken and names the command that fixes it; exits 1 when it finds any.")

    @OptionGroup var options: ScopeOption

    func run() throws {
        let project = try Project.find()
        let scope = try project.scope(options.scope, else: project.startedScope ?? "local")
        let findings = Diagnosis(project: project, scope: scope).run()
        for finding in findings {
            print("\(finding.problem == nil ? "ok   " : "WRONG")  \(finding.subject)")
            if let problem = finding.problem {
                print("       " + problem.replacingOccurrences(of: "\n", with: "\n       "))
            }
            if let remedy = finding.remedy { print("       fix: \(remedy)") }
        }
        let wrong = findings.filter { $0.problem != nil }.count
        guard wrong == 0 else {
            print("\n\(wrong) of \(findings.count) checks found something.")
            throw ExitCode.failure
        }
    }
}
