extension BertWordScanner {
    /// Cuts text that is normalised already.
    static let splitting = BertWordScanner(
        lowercase: false, stripAccents: false, spacesIdeographs: false)

    /// The text as BERT reads it, before it is cut into words: cleaned, with spaces around ideographs,
    /// stripped of accents and lower-cased as asked.
    ///
    /// Words need no such text; added tokens that are looked for in it do.
    ///
    /// Source: `BertNormalizer` of `tokenizers` 0.20.
    func normalized(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var marks: [UInt32] = []
        func flushMarks() {
            guard !marks.isEmpty else { return }
            for mark in Self.ordered(marks) { UTF8Scalar.append(mark, to: &result) }
            marks.removeAll(keepingCapacity: true)
        }
        func append(_ scalar: UInt32) {
            if stripsAccents, ScalarClass.of(scalar, in: classes).contains(.keptMark) {
                marks.append(scalar)
            } else {
                flushMarks()
                UTF8Scalar.append(scalar, to: &result)
            }
        }
        var index = 0
        while index < text.count {
            let scalar = UTF8Scalar.next(in: text, at: &index)
            let kind = ScalarClass.of(scalar, in: classes)
            if kind.contains(.removed) || scalar == 0 { continue }
            if kind.contains(.whitespace) {
                append(0x20)
                continue
            }
            if stripsAccents, kind.contains(.accent) { continue }
            let isIdeograph = spacesIdeographs && kind.contains(.ideograph)
            if isIdeograph { append(0x20) }
            if let mapped = mapping?(scalar) {
                mapped.withUnsafeBufferPointer { mapped in
                    var index = 0
                    while index < mapped.count { append(UTF8Scalar.next(in: mapped, at: &index)) }
                }
            } else {
                append(scalar)
            }
            if isIdeograph { append(0x20) }
        }
        flushMarks()
        return result
    }

    /// Marks in canonical order; equal ones stay as they are.
    private static func ordered(_ marks: [UInt32]) -> [UInt32] {
        func order(_ scalar: UInt32) -> UInt8 {
            Unicode.Scalar(scalar)?.properties.canonicalCombiningClass.rawValue ?? 0
        }
        return marks.enumerated().map { (order($1), $0, $1) }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
    }
}
