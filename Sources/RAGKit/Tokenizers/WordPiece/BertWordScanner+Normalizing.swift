extension BertWordScanner {
    /// A scanner for text that is normalised already.
    static let splitting = BertWordScanner(
        lowercase: false, stripAccents: false, spacesIdeographs: false)

    /// The text after BERT's normalisation, before it is cut into words.
    ///
    /// Only added tokens that are searched for in normalised text need it: words are normalised
    /// while they are cut.
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

    /// The marks in canonical order. Marks of the same class keep their order.
    private static func ordered(_ marks: [UInt32]) -> [UInt32] {
        return marks.enumerated().map { (ScalarClass.order(of: $1), $0, $1) }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
    }
}
