/// The properties of a Unicode scalar that the tokenizers need, as a set of bits.
///
/// Each crate of the reference carries its own, old Unicode version. A scalar's category hardly
/// ever changes, so the categories of version n are the present ones of the scalars whose `age` is
/// at most n; the few that did change are listed. Every scalar was compared with the reference.
struct ScalarClass: OptionSet, Sendable {
    let rawValue: UInt16

    /// White space, the same in every version used.
    static let whitespace = ScalarClass(rawValue: 1 << 0)
    /// Removed by BERT's cleaning: NUL, U+FFFD, and control, format and private-use scalars.
    static let removed = ScalarClass(rawValue: 1 << 1)
    /// A word of its own for BERT: ASCII punctuation and symbols, other punctuation.
    static let punctuation = ScalarClass(rawValue: 1 << 2)
    /// A non-spacing mark, which stripping accents removes.
    static let accent = ScalarClass(rawValue: 1 << 3)
    /// An ideograph, a word of its own for BERT.
    static let ideograph = ScalarClass(rawValue: 1 << 4)
    /// `\p{L}` of the byte-level pattern.
    static let letter = ScalarClass(rawValue: 1 << 5)
    /// `\p{N}` of the byte-level pattern.
    static let number = ScalarClass(rawValue: 1 << 6)
    /// A combining mark with an order of its own that stripping accents keeps.
    static let keptMark = ScalarClass(rawValue: 1 << 7)

    /// The class of a scalar. Beyond the first two planes the standard library is asked each time.
    @inline(__always)
    static func of(_ scalar: UInt32, in table: [ScalarClass]) -> ScalarClass {
        scalar < UInt32(table.count) ? table[Int(scalar)] : computed(scalar)
    }

    /// The classes of planes 0 and 1, computed at first use (a few milliseconds).
    static let table: [ScalarClass] = {
        var table = [ScalarClass](repeating: [], count: 0x20000)
        for scalar in 0..<UInt32(table.count) { table[Int(scalar)] = computed(scalar) }
        return table
    }()

    private static func computed(_ value: UInt32) -> ScalarClass {
        switch value {
        case 0x3400...0x4DB5, 0x4E00...0x9FA5, 0x20000...0x2A6D6: return [.ideograph, .letter]
        case 0xAC00...0xD7A3: return .letter
        case 0xE000...0xF8FF: return .removed
        default: break
        }
        guard let scalar = Unicode.Scalar(value) else { return [] }
        let properties = scalar.properties
        let category = properties.generalCategory
        let age = properties.age.map { $0.major * 10 + $0.minor } ?? .max
        var result: ScalarClass = []
        if properties.isWhitespace { result.insert(.whitespace) }
        switch category {
        case .control, .format, .privateUse:
            if age <= 80, value != 0x09, value != 0x0A, value != 0x0D { result.insert(.removed) }
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
            .initialPunctuation, .finalPunctuation, .otherPunctuation:
            if age <= 80 { result.insert(.punctuation) }
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol:
            if value < 0x80 { result.insert(.punctuation) }
        case .nonspacingMark:
            if age <= 80 { result.insert(.accent) }
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            if age <= 140 { result.insert(.letter) }
        case .decimalNumber, .letterNumber, .otherNumber:
            if age <= 140 { result.insert(.number) }
        default: break
        }
        // Scalars whose category was another one in Unicode 8.
        switch value {
        case 0xFFFD: result.insert(.removed)
        case 0x166D: result.insert(.punctuation)
        case 0x111C9: result = .punctuation
        case 0x1734, 0x1171E: result.insert(.accent)
        case 0x1885, 0x1886, 0xA9BD: result.remove(.accent)
        default: break
        }
        // U+2B920 is the reference's own start of that block.
        switch value {
        case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF,
            0x2A700...0x2B81F, 0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
            result.insert(.ideograph)
        default: break
        }
        let order = properties.canonicalCombiningClass
        if order != .notReordered, age < 130, !result.contains(.accent) { result.insert(.keptMark) }
        return result
    }
}

extension ScalarClass {
    /// The place of a combining mark in canonical order (`Canonical_Combining_Class`).
    static func order(of mark: UInt32) -> UInt8 {
        Unicode.Scalar(mark)?.properties.canonicalCombiningClass.rawValue ?? 0
    }

    /// True if a scalar is part of a word in the sense of regular expressions (`\w`).
    ///
    /// Source: Unicode Technical Standard 18, annex C.
    static func isWord(_ value: UInt32) -> Bool {
        guard let properties = Unicode.Scalar(value)?.properties else { return false }
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default: return false
        }
    }
}
