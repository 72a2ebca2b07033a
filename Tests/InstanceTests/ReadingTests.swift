import Foundation
import Testing

import class TestSupport.TemporaryFolder

@testable import Instance

struct ReadingTests {
    @Test func `supervisord's lines tell workers from holders`() throws {
        let worker = try #require(SupervisedProcess(line: "charge:charge_1   RUNNING   pid 4711, uptime 0:00:12"))
        #expect(worker.pid == 4711)
        #expect(worker.address == "charge:charge_1")
        #expect(!worker.isHolder)
        let holder = try #require(
            SupervisedProcess(line: "charge:charge_0   RUNNING   pid 4710, uptime 1 day, 0:00:12"))
        #expect(holder.isHolder)
        let stopped = try #require(SupervisedProcess(line: "nginx   FATAL     Exited too quickly (process log may …)"))
        #expect(stopped.pid == nil)
        #expect(stopped.state == "FATAL")
        #expect(stopped.address == "nginx")
        #expect(SupervisedProcess(line: "unix:///run/x.sock refused connection") == nil)
    }

    @Test func `a followed log survives being cut and replaced, and shows whole lines only`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/x.log"
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
        try write("one\ntwo\nthree\n")
        let log = LogFile(path: path)
        #expect(log.lastLines(2) == ["two", "three"])
        #expect(log.newLines().isEmpty)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("four\nfi".utf8))
        #expect(log.newLines() == ["four"])
        try handle.write(contentsOf: Data("ve\n".utf8))
        #expect(log.newLines() == ["five"])
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: Data("six\n".utf8))
        #expect(log.newLines() == ["six"])
        try FileManager.default.removeItem(atPath: path)
        #expect(log.newLines().isEmpty)
        try write("seven\n")
        #expect(log.newLines() == ["seven"])
    }

    @Test func `a program's output, status and signal come back`() throws {
        let said = try Subprocess.run(
            ["/bin/sh", "-c", "read x; echo got $x; echo no >&2; exit 3"], input: Data("a\n".utf8))
        #expect(said.status == 3)
        #expect(said.output == "got a\n")
        #expect(said.errors == "no\n")
        #expect(try Subprocess.run(["/bin/sh", "-c", "kill -9 $$"]).status == 137)
    }

    @Test func `signals that this thread blocks reach a program all the same`() throws {
        var (signals, before) = (sigset_t(), sigset_t())
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        #expect(try Subprocess.run(["/bin/sh", "-c", "kill -TERM $$; echo lives"]).status == 128 + SIGTERM)
    }

    @Test func `a program that leaves a daemon behind is not waited for`() throws {
        let begin = Date()
        let daemon = try Subprocess.run(["/bin/sh", "-c", "sleep 60 & echo $!"])
        let pid = try #require(pid_t(daemon.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(RunningProcess(pid: pid)?.isAlive == true, "after \(Date().timeIntervalSince(begin)) s")
        kill(pid, SIGKILL)
    }
}
