import Foundation
import Synchronization

/// Keeps a version from being removed by this process, as long as it lives.
final class VersionHold: Sendable {
    private struct Key: Hashable {
        var directory: String
        var name: String
    }

    /// The number of holders of each version; of the process, since several stores may name one
    /// folder.
    private static let holds = Mutex<[Key: Int]>([:])

    private let key: Key

    init(directory: URL, name: String) {
        let key = Key(directory: VersionHold.canonical(directory), name: name)
        VersionHold.holds.withLock { $0[key, default: 0] += 1 }
        self.key = key
    }

    deinit {
        VersionHold.holds.withLock { holds in
            let left = holds[key, default: 1] - 1
            holds[key] = left > 0 ? left : nil
        }
    }

    /// Runs `body` if nobody holds the version; nobody can take hold of it meanwhile.
    ///
    /// - Returns: True if `body` ran.
    static func ifFree(directory: URL, name: String, _ body: () throws -> Void) rethrows -> Bool {
        let key = Key(directory: canonical(directory), name: name)
        return try holds.withLock { holds in
            guard holds[key] == nil else { return false }
            try body()
            return true
        }
    }

    private static func canonical(_ url: URL) -> String { url.resolvingSymlinksInPath().path }
}
