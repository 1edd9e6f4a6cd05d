/// GPT-2's printable characters for the 256 bytes, which make vocabularies text files.
///
/// Printable bytes stand for themselves. The other 68 are U+0100 and the characters after it; a
/// space is `Ġ`.
///
/// Source: `bytes_to_unicode` of GPT-2 (Radford et al. 2019).
enum ByteLevelAlphabet {
    /// The character of each byte.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte -> Unicode.Scalar in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
                return Unicode.Scalar(UInt8(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next) ?? " "
            }
        }
    }()

    /// The byte of each character from U+0000 to U+0143, or -1.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar.value)] = Int16(byte) }
        return bytes
    }()

    /// - Parameter token: A token in UTF-8.
    /// - Returns: The bytes it stands for, or `nil` if one of its characters is not among the 256.
    static func bytes(of token: [UInt8]) -> [UInt8]? {
        token.withUnsafeBufferPointer { token in
            var result: [UInt8] = []
            result.reserveCapacity(token.count)
            var index = 0
            while index < token.count {
                let scalar = Int(UTF8Scalar.next(in: token, at: &index))
                guard scalar < bytes.count, bytes[scalar] >= 0 else { return nil }
                result.append(UInt8(bytes[scalar]))
            }
            return result
        }
    }

    static func token(of bytes: some Sequence<UInt8>) -> String {
        var view = String.UnicodeScalarView()
        for byte in bytes { view.append(scalars[Int(byte)]) }
        return String(view)
    }
}
