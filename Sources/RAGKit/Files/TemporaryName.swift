import Foundation

/// The names of temporary files: `NAME.tmp-PROCESS-RANDOM`, beside the destination.
enum TemporaryName {
    static func beside(_ url: URL) -> String {
        // Process and random number keep two writers apart; no result depends on the number.
        let random = String(UInt64.random(in: .min ... .max), radix: 16)
        return url.path + ".tmp-\(getpid())-\(random)"
    }

    /// The process that made a temporary file, or nil if the name is not one of ours.
    static func owner(of name: String) -> pid_t? {
        guard let mark = name.range(of: ".tmp-", options: .backwards) else { return nil }
        let parts = name[mark.upperBound...].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, UInt64(parts[1], radix: 16) != nil else { return nil }
        return pid_t(parts[0]).flatMap { $0 > 0 ? $0 : nil }
    }
}
