/// Decimal numbers as the reference reads them.
///
/// Its JSON reader collects the digits in 64 bits and divides by a power of ten. For every fourth
/// score of T5 the result is one unit in the last place off the nearest number. Between two
/// spellings with nearly equal scores that can decide.
///
/// Source: `f64_from_parts` of `serde_json` 1.0 without `float_roundtrip`.
enum ReferenceNumber {
    /// - Parameter text: A number in the syntax of JSON.
    /// - Returns: `nil` if it is too large.
    static func value(of text: UnsafeRawBufferPointer) -> Double? {
        var significand: UInt64 = 0
        var exponent = 0
        var isFraction = false
        var isFull = false
        var index = 0
        let isNegative = text.first == UInt8(ascii: "-")
        if isNegative { index = 1 }
        while index < text.count, text[index] | 0x20 != UInt8(ascii: "e") {
            defer { index += 1 }
            if text[index] == UInt8(ascii: ".") {
                isFraction = true
                isFull = false
                continue
            }
            let (product, overflow) = significand.multipliedReportingOverflow(by: 10)
            let digit = UInt64(text[index] & 0x0F)
            let (sum, carry) = product.addingReportingOverflow(digit)
            isFull = isFull || overflow || carry
            if !isFull { significand = sum }
            // A digit without room counts before the point and is dropped behind it.
            if isFraction, !isFull { exponent -= 1 }
            if !isFraction, isFull { exponent += 1 }
        }
        exponent += written(text, from: index + 1)
        var value = Double(significand)
        while exponent < -308, value != 0 {
            value /= 1e308
            exponent += 308
        }
        if value == 0 { return isNegative ? -0.0 : 0 }
        guard exponent <= 308 else { return nil }
        value = exponent >= 0 ? value * powers[exponent] : value / powers[-exponent]
        guard value.isFinite else { return nil }
        return isNegative ? -value : value
    }

    /// The exponent written after the `e`, limited to 2^30.
    private static func written(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard start < text.count else { return 0 }
        let isNegative = text[start] == UInt8(ascii: "-")
        var value = 0
        for index in start..<text.count where text[index] >= 0x30 {
            value = min(value * 10 + Int(text[index] & 0x0F), 1 << 30)
        }
        return isNegative ? -value : value
    }

    private static let powers = (0...308).map { Double("1e\($0)") ?? .infinity }
}
