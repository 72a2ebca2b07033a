import Foundation
import Glibc

/// Waits until `condition` holds.
/// - Returns: false when `seconds` went by first.
func waitUntil(seconds: Double, every milliseconds: UInt32 = 50, condition: () throws -> Bool) rethrows -> Bool {
    let end = DispatchTime.now() + seconds
    while try !condition() {
        if DispatchTime.now() >= end { return false }
        usleep(milliseconds * 1000)
    }
    return true
}
