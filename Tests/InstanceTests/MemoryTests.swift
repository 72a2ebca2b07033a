import Testing

@testable import Instance

@Suite struct MemoryTests {
    @Test(
        "a quarter of the memory is for the database's buffers, within limits",
        arguments: [(256, 128), (2048, 512), (24576, 1024)])
    func sharedBuffers(_ megabytes: UInt64, _ buffers: UInt64) {
        #expect(Memory.sharedBuffers(of: megabytes << 20) == buffers)
    }

    @Test func someMemoryIsAvailable() { #expect(Memory.available > 128 << 20) }
}
