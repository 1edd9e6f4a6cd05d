import Foundation

/// Lists the names in folders.
enum DirectoryListing {
    /// The names in a folder, sorted, so that nothing depends on the order of the disk.
    static func names(in path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw FileCalls.failure("list", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
