import Foundation
import TestSupport
import Testing

@testable import Instance

@Suite struct MemoryTests {
    @Test(
        "a quarter of the memory is for the database's buffers, within limits",
        arguments: [(256, 128), (2048, 512), (24576, 6144), (65536, 8192)])
    func sharedBuffers(_ megabytes: UInt64, _ buffers: UInt64) {
        #expect(Memory.sharedBuffers(of: megabytes << 20) == buffers)
    }

    @Test func aContainersLimitCounts() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/memory.max"
        try Data("134217728\n".utf8).write(to: URL(fileURLWithPath: file))
        #expect(Memory.available(limitFile: file) == 134_217_728)
        try Data("max\n".utf8).write(to: URL(fileURLWithPath: file))
        #expect(Memory.available(limitFile: file) == ProcessInfo.processInfo.physicalMemory)
        #expect(Memory.available(limitFile: folder.path + "/none") == ProcessInfo.processInfo.physicalMemory)
    }
}
