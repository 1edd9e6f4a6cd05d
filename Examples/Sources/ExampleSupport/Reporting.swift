import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// Rows of text under a head, in columns as wide as they need to be.
public func table(_ head: [String], _ rows: [[String]]) -> String {
    let all = [head] + rows
    let widths = head.indices.map { column in
        all.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    func line(_ cells: [String]) -> String {
        zip(cells, widths).enumerated().map { column, cell in
            let space = String(repeating: " ", count: cell.1 - cell.0.count)
            return column == 0 ? cell.0 + space : space + cell.0
        }.joined(separator: "  ")
    }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return ([line(head), rule.joined(separator: "  ")] + rows.map(line)).joined(separator: "\n")
}

/// The most memory this process ever held, in MiB.
public func peakMemoryMiB() -> Double {
    var usage = rusage()
    #if os(Linux)
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    #else
        getrusage(RUSAGE_SELF, &usage)
        return Double(usage.ru_maxrss) / 1_048_576
    #endif
}

/// Two digits behind the point.
public func rounded(_ value: Double) -> String {
    let cents = Int((value * 100).rounded())
    let fraction = abs(cents % 100)
    return
        "\(cents < 0 && cents / 100 == 0 ? "-" : "")\(cents / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

/// A line on standard error: results alone go to standard output.
public func note(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
