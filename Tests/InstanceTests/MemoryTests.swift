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

    /// What the files of cgroup v2 and v1 hold; `nil` for one that is not there.
    @Test(
        "the least of the machine's memory and a container's limits counts",
        arguments: [
            ("134217728\n", nil, 134_217_728), ("max\n", nil, nil), (nil, "134217728\n", 134_217_728),
            (nil, "9223372036854771712\n", nil), ("max\n", "134217728\n", 134_217_728),
            ("67108864\n", "134217728\n", 67_108_864), ("134217728\n", "67108864\n", 67_108_864), (nil, nil, nil),
        ] as [(String?, String?, UInt64?)])
    func limits(_ second: String?, _ first: String?, _ limit: UInt64?) throws {
        let folder = try TemporaryFolder()
        for (name, text) in [("memory.max", second), ("memory.limit_in_bytes", first)] {
            if let text { try folder.write(name, text) }
        }
        let files = ["memory.max", "memory.limit_in_bytes"].map { "\(folder.path)/\($0)" }
        #expect(Memory.available(limitFiles: files) == limit ?? ProcessInfo.processInfo.physicalMemory)
    }
}
