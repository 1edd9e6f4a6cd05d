import Foundation

/// The results of lower-casing and accent stripping for each scalar, in UTF-8.
///
/// Scalars map one by one: BERT's normaliser decomposes (NFD), drops non-spacing marks and then
/// lower-cases without regard to neighbours. Only the order of marks depends on context;
/// `BertWordScanner` takes care of it.
final class ScalarMapping: Sendable {
    /// The index of the entry of each scalar of planes 0 and 1; 0 if it maps to itself.
    private let entryIndex: [UInt16]
    private let entries: [[UInt8]]
    private let lowercase: Bool
    private let stripAccents: Bool

    static func shared(lowercase: Bool, stripAccents: Bool) -> ScalarMapping? {
        switch (lowercase, stripAccents) {
        case (true, true): lowercasingAndStripping
        case (true, false): lowercasing
        case (false, true): stripping
        case (false, false): nil
        }
    }

    private static let lowercasingAndStripping = ScalarMapping(true, true)
    private static let lowercasing = ScalarMapping(true, false)
    private static let stripping = ScalarMapping(false, true)

    /// The blocks with canonical decompositions, without Hangul, whose decompositions are computed.
    private static let decomposingBlocks: [ClosedRange<UInt32>] = [
        0xC0...0x233, 0x340...0x3D4, 0x400...0x4F9, 0x622...0x6D3, 0x929...0x95F, 0x9CB...0x9DF,
        0xA33...0xA5E, 0xB48...0xB5C, 0xB94...0xBCC, 0xC48...0xCCB, 0xD4A...0xDDE, 0xF43...0xFB9,
        0x1026...0x1026, 0x1B06...0x1B43, 0x1E00...0x2001, 0x2126...0x212B, 0x219A...0x22ED,
        0x2329...0x232A, 0x2ADC...0x2ADC, 0x304C...0x30FE, 0xF900...0xFB4E, 0x1109A...0x110AB,
        0x1112E...0x1112F, 0x1134B...0x1134C, 0x114BB...0x114BE, 0x115BA...0x115BB,
        0x1D15E...0x1D164, 0x1D1BB...0x1D1C0,
    ]

    private init(_ lowercase: Bool, _ stripAccents: Bool) {
        var index = [UInt16](repeating: 0, count: 0x20000)
        var entries: [[UInt8]] = [[]]
        func add(_ value: UInt32) {
            guard index[Int(value)] == 0,
                let mapped = Self.mapped(value, lowercase: lowercase, stripAccents: stripAccents)
            else { return }
            index[Int(value)] = UInt16(entries.count)
            entries.append(mapped)
        }
        if stripAccents {
            for block in Self.decomposingBlocks { for value in block { add(value) } }
        }
        if lowercase {
            for value in 0..<UInt32(index.count) {
                if Unicode.Scalar(value)?.properties.changesWhenLowercased == true { add(value) }
            }
        }
        entryIndex = index
        self.entries = entries
        self.lowercase = lowercase
        self.stripAccents = stripAccents
    }

    /// - Returns: The UTF-8 that replaces the scalar, or `nil` if it does not change.
    func callAsFunction(_ scalar: UInt32) -> [UInt8]? {
        if scalar < UInt32(entryIndex.count) {
            if stripAccents, 0xAC00...0xD7A3 ~= scalar { return Self.decomposedHangul(scalar) }
            let index = entryIndex[Int(scalar)]
            return index == 0 ? nil : entries[Int(index)]
        }
        return Self.mapped(scalar, lowercase: lowercase, stripAccents: stripAccents)
    }

    private static func mapped(_ value: UInt32, lowercase: Bool, stripAccents: Bool) -> [UInt8]? {
        guard let scalar = Unicode.Scalar(value) else { return nil }
        var text = String(scalar)
        // Later decompositions (Unicode 13 and on) are unknown to the reference.
        if stripAccents, let age = scalar.properties.age, age.major < 13 {
            var kept = String.UnicodeScalarView()
            for part in text.decomposedStringWithCanonicalMapping.unicodeScalars {
                let isAccent = ScalarClass.of(part.value, in: ScalarClass.table).contains(.accent)
                if !isAccent { kept.append(part) }
            }
            text = String(kept)
        }
        if lowercase {
            var lower = ""
            for part in text.unicodeScalars {
                let isOld = (part.properties.age?.major ?? .max) <= 15
                lower += isOld ? part.properties.lowercaseMapping : String(part)
            }
            text = lower
        }
        let bytes = Array(text.utf8)
        return bytes == Array(String(scalar).utf8) ? nil : bytes
    }

    /// Source: The Unicode Standard, section 3.12, Hangul Syllable Decomposition.
    private static func decomposedHangul(_ syllable: UInt32) -> [UInt8] {
        let index = syllable - 0xAC00
        var jamo = [0x1100 + index / 588, 0x1161 + index % 588 / 28]
        if index % 28 != 0 { jamo.append(0x11A7 + index % 28) }
        return jamo.flatMap { Array(String(Unicode.Scalar($0) ?? "\u{FFFD}").utf8) }
    }
}
