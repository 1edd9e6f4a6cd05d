/// The boundaries of the characters that readers see (extended grapheme clusters) in Unicode 16.
///
/// A character map's replacements depend on these boundaries, and the standard library follows
/// newer versions of Unicode, so the rules are spelled out here. Every scalar was compared with the
/// reference.
///
/// Source: Unicode Standard Annex 29, revision 45 (`unicode-segmentation` 1.12 in the reference).
enum GraphemeClusters {
    private enum Kind: UInt8 {
        case other, carriageReturn, lineFeed, control
        case extend, linker, nonJoiner, joiner, spacing, prepend
        case consonant, pictograph, regional
        case leading, vowel, trailing, openSyllable, closedSyllable  // Hangul
    }

    /// The end of the cluster that begins at `start`.
    ///
    /// - Precondition: `start` is the first byte of a scalar of `text`, which is valid UTF-8.
    static func end(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var index = start
        var previous = kind(UTF8Scalar.next(in: text, at: &index))
        // A pictograph, marks, a joiner; a consonant, marks, a linker: what follows may belong on.
        var isPictograph = previous == .pictograph
        var isJoinedPictograph = false
        var isConjunct = previous == .consonant
        var isLinked = false
        var regionals = previous == .regional ? 1 : 0
        while index < text.count {
            var behind = index
            let current = kind(UTF8Scalar.next(in: text, at: &behind))
            let joins =
                joins(previous, current)
                || isLinked && current == .consonant
                || isJoinedPictograph && current == .pictograph
                || current == .regional && regionals % 2 == 1 && previous == .regional
            guard joins else { break }
            switch current {
            case .joiner: isJoinedPictograph = isPictograph
            case .extend, .linker, .nonJoiner: isJoinedPictograph = false
            default: (isPictograph, isJoinedPictograph) = (current == .pictograph, false)
            }
            switch current {
            case .linker: isLinked = isConjunct
            case .extend, .joiner: break
            default: (isConjunct, isLinked) = (current == .consonant, false)
            }
            regionals = current == .regional ? regionals + 1 : 0
            previous = current
            index = behind
        }
        return index
    }

    /// The rules that depend on two neighbours only.
    private static func joins(_ previous: Kind, _ current: Kind) -> Bool {
        switch (previous, current) {
        case (.carriageReturn, .lineFeed): true
        case (.carriageReturn, _), (.lineFeed, _), (.control, _): false
        case (_, .carriageReturn), (_, .lineFeed), (_, .control): false
        case (.leading, .leading), (.leading, .vowel), (.leading, .openSyllable),
            (.leading, .closedSyllable):
            true
        case (.openSyllable, .vowel), (.openSyllable, .trailing), (.vowel, .vowel),
            (.vowel, .trailing):
            true
        case (.closedSyllable, .trailing), (.trailing, .trailing): true
        case (_, .extend), (_, .linker), (_, .nonJoiner), (_, .joiner), (_, .spacing): true
        case (.prepend, _): true
        default: false
        }
    }

    @inline(__always)
    private static func kind(_ scalar: UInt32) -> Kind {
        scalar < UInt32(table.count) ? table[Int(scalar)] : computed(scalar)
    }

    /// The kinds of planes 0 and 1, computed at first use.
    private static let table: [Kind] = {
        var table = (0..<UInt32(0x20000)).map(computed)
        func set(_ ranges: [ClosedRange<Int>], _ kind: Kind) {
            for range in ranges { for scalar in range { table[scalar] = kind } }
        }
        set(notSpacing, .other)
        set(prepended, .prepend)
        set(consonants, .consonant)
        set(pictographs, .pictograph)
        for scalar in [0x94D, 0x9CD, 0xACD, 0xB4D, 0xC4D, 0xD4D] { table[scalar] = .linker }
        return table
    }()

    private static func computed(_ value: UInt32) -> Kind {
        switch value {
        case 0x0D: return .carriageReturn
        case 0x0A: return .lineFeed
        case 0x200C: return .nonJoiner
        case 0x200D: return .joiner
        case 0xE33, 0xEB3: return .spacing
        case 0x1100...0x115F, 0xA960...0xA97C: return .leading
        case 0x1160...0x11A7, 0xD7B0...0xD7C6, 0x16D63, 0x16D67...0x16D6A: return .vowel
        case 0x11A8...0x11FF, 0xD7CB...0xD7FB: return .trailing
        case 0xAC00...0xD7A3: return (value - 0xAC00) % 28 == 0 ? .openSyllable : .closedSyllable
        case 0x1F1E6...0x1F1FF: return .regional
        default: break
        }
        guard let properties = Unicode.Scalar(value)?.properties else { return .control }
        if let age = properties.age, age.major > 16 { return .other }
        if properties.isGraphemeExtend || properties.isEmojiModifier { return .extend }
        switch properties.generalCategory {
        case .spacingMark: return .spacing
        case .control, .format, .lineSeparator, .paragraphSeparator: return .control
        case .unassigned: return properties.isDefaultIgnorableCodePoint ? .control : .other
        default: return .other
        }
    }

    /// Spacing marks that do not join.
    private static let notSpacing: [ClosedRange<Int>] = [
        0x102B...0x102C, 0x1038...0x1038, 0x1062...0x1064, 0x1067...0x106D, 0x1083...0x1083,
        0x1087...0x108C, 0x108F...0x108F, 0x109A...0x109C, 0x1A61...0x1A61, 0x1A63...0x1A64,
        0xAA7B...0xAA7B, 0xAA7D...0xAA7D, 0x11720...0x11721,
    ]

    /// `Grapheme_Cluster_Break=Prepend`.
    private static let prepended: [ClosedRange<Int>] = [
        0x600...0x605, 0x6DD...0x6DD, 0x70F...0x70F, 0x890...0x891, 0x8E2...0x8E2, 0xD4E...0xD4E,
        0x110BD...0x110BD, 0x110CD...0x110CD, 0x111C2...0x111C3, 0x113D1...0x113D1,
        0x1193F...0x1193F, 0x11941...0x11941, 0x11A3A...0x11A3A, 0x11A84...0x11A89,
        0x11D46...0x11D46, 0x11F02...0x11F02,
    ]

    /// `Indic_Conjunct_Break=Consonant`.
    private static let consonants: [ClosedRange<Int>] = [
        0x915...0x939, 0x958...0x95F, 0x978...0x97F, 0x995...0x9A8, 0x9AA...0x9B0, 0x9B2...0x9B2,
        0x9B6...0x9B9, 0x9DC...0x9DD, 0x9DF...0x9DF, 0x9F0...0x9F1, 0xA95...0xAA8, 0xAAA...0xAB0,
        0xAB2...0xAB3, 0xAB5...0xAB9, 0xAF9...0xAF9, 0xB15...0xB28, 0xB2A...0xB30, 0xB32...0xB33,
        0xB35...0xB39, 0xB5C...0xB5D, 0xB5F...0xB5F, 0xB71...0xB71, 0xC15...0xC28, 0xC2A...0xC39,
        0xC58...0xC5A, 0xD15...0xD3A,
    ]

    /// `Extended_Pictographic`.
    private static let pictographs: [ClosedRange<Int>] = [
        0xA9...0xA9, 0xAE...0xAE, 0x203C...0x203C, 0x2049...0x2049, 0x2122...0x2122,
        0x2139...0x2139, 0x2194...0x2199, 0x21A9...0x21AA, 0x231A...0x231B, 0x2328...0x2328,
        0x2388...0x2388, 0x23CF...0x23CF, 0x23E9...0x23F3, 0x23F8...0x23FA, 0x24C2...0x24C2,
        0x25AA...0x25AB, 0x25B6...0x25B6, 0x25C0...0x25C0, 0x25FB...0x25FE, 0x2600...0x2605,
        0x2607...0x2612, 0x2614...0x2685, 0x2690...0x2705, 0x2708...0x2712, 0x2714...0x2714,
        0x2716...0x2716, 0x271D...0x271D, 0x2721...0x2721, 0x2728...0x2728, 0x2733...0x2734,
        0x2744...0x2744, 0x2747...0x2747, 0x274C...0x274C, 0x274E...0x274E, 0x2753...0x2755,
        0x2757...0x2757, 0x2763...0x2767, 0x2795...0x2797, 0x27A1...0x27A1, 0x27B0...0x27B0,
        0x27BF...0x27BF, 0x2934...0x2935, 0x2B05...0x2B07, 0x2B1B...0x2B1C, 0x2B50...0x2B50,
        0x2B55...0x2B55, 0x3030...0x3030, 0x303D...0x303D, 0x3297...0x3297, 0x3299...0x3299,
        0x1F000...0x1F0FF, 0x1F10D...0x1F10F, 0x1F12F...0x1F12F, 0x1F16C...0x1F171,
        0x1F17E...0x1F17F, 0x1F18E...0x1F18E, 0x1F191...0x1F19A, 0x1F1AD...0x1F1E5,
        0x1F201...0x1F20F, 0x1F21A...0x1F21A, 0x1F22F...0x1F22F, 0x1F232...0x1F23A,
        0x1F23C...0x1F23F, 0x1F249...0x1F3FA, 0x1F400...0x1F53D, 0x1F546...0x1F64F,
        0x1F680...0x1F6FF, 0x1F774...0x1F77F, 0x1F7D5...0x1F7FF, 0x1F80C...0x1F80F,
        0x1F848...0x1F84F, 0x1F85A...0x1F85F, 0x1F888...0x1F88F, 0x1F8AE...0x1F8FF,
        0x1F90C...0x1F93A, 0x1F93C...0x1F945, 0x1F947...0x1FAFF, 0x1FC00...0x1FFFD,
    ]
}
