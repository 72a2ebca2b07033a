import Glibc
import TestSupport
import Testing

@testable import Instance

@Suite struct PlacementTests {
    private func place(
        _ state: String, switchesUser: Bool, runtimeFolder: String? = nil, isTraversable: Bool = true,
        longestSocketName: Int = 20
    ) -> Placement {
        Placement(
            state: state, switchesUser: switchesUser, uid: 1000, longestSocketName: longestSocketName,
            runtimeFolder: runtimeFolder, isTraversable: { _ in isTraversable })
    }

    @Test("everything is in the state folder when its users can reach it") func allInState() {
        for switchesUser in [true, false] {
            let placement = place("/srv/taproom/var", switchesUser: switchesUser)
            #expect(placement.data == "/srv/taproom/var")
            #expect(placement.run == "/srv/taproom/var/run")
        }
    }

    @Test("what other users must reach leaves a private home") func privateHome() {
        let placement = place("/home/anna/taproom/var", switchesUser: true, isTraversable: false)
        #expect(placement.data.hasPrefix("/var/lib/taproom/taproom-"))
        #expect(placement.run.hasPrefix(placement.data + "/"))
        #expect(placement.supervisorConfiguration == "/home/anna/taproom/var/supervisord.conf")
        let own = place("/home/anna/taproom/var", switchesUser: false, isTraversable: false)
        #expect(own.data == "/home/anna/taproom/var")
    }

    @Test("data that lies elsewhere stays there when its folders are opened") func dataStaysElsewhere() {
        let closed = place("/home/anna/taproom/var", switchesUser: true, isTraversable: false)
        let opened = Placement(
            state: closed.state, switchesUser: true, uid: 0, longestSocketName: 20, runtimeFolder: nil,
            known: closed.data, isTraversable: { _ in true })
        #expect(opened == closed)
    }

    @Test("sockets go to a short path before theirs is too long") func shortSocketPath() {
        // run + "/functions/" + "supervisor.sock." and a pid of seven digits: 4 + 11 + 23 bytes after the folder.
        let fits = "/" + String(repeating: "x", count: 107 - 38 - 1)
        #expect(place(fits, switchesUser: false).run == fits + "/run")
        let tooLong = fits + "x"
        #expect(place(tooLong, switchesUser: true).run.hasPrefix("/run/taproom-"))
        #expect(place(tooLong, switchesUser: false).run.hasPrefix("/tmp/taproom-1000-"))
        #expect(place(tooLong, switchesUser: false, runtimeFolder: "/run/user/1000").run.hasPrefix("/run/user/1000/"))
        #expect(place(fits, switchesUser: false, longestSocketName: 24).run != fits + "/run")
    }

    @Test("two state folders never share a place") func noSharedPlace() {
        let long = "/" + String(repeating: "x", count: 100)
        #expect(place(long + "/a", switchesUser: true).run != place(long + "/b", switchesUser: true).run)
    }

    @Test("a folder counts as reachable only when all above it are") func reachable() throws {
        let open = try TemporaryFolder()
        let closed = try TemporaryFolder.closed()
        for folder in [open, closed] { mkdir(folder.path + "/state", 0o755) }
        #expect(Placement.isTraversable(open.path + "/state"))
        #expect(!Placement.isTraversable(closed.path + "/state"))
    }

    @Test("a socket folder of somebody else is refused") func othersSocketFolder() throws {
        let folder = try TemporaryFolder()
        symlink("/etc", folder.path + "/run")
        #expect(throws: InstanceError.self) { try ensureFolder(folder.path + "/run", mode: 0o700, owner: nil) }
    }
}
