/// A digest of 128 bits that is the same in every process and on every machine. It tells different
/// vocabularies apart; it is no defence against someone who forges one.
struct StableDigest {
    private var low: UInt64 = 0xcbf2_9ce4_8422_2325
    private var high: UInt64 = 0x9e37_79b9_7f4a_7c15

    mutating func add(_ bytes: some Sequence<UInt8>) {
        var count: UInt64 = 0
        for byte in bytes {
            step(UInt64(byte))
            count += 1
        }
        add(count)  // so that "ab", "c" and "a", "bc" differ
    }

    mutating func add(_ value: UInt64) { step(value ^ 0x5bf0_3635_0000_0100) }
    mutating func add(_ value: Int32) { add(UInt64(UInt32(bitPattern: value))) }
    mutating func add(_ value: Bool) { add(value ? 1 : UInt64(0)) }
    mutating func add(_ value: String) { add(value.utf8) }

    private mutating func step(_ value: UInt64) {
        low = (low ^ value) &* 0x0000_0100_0000_01b3
        high = (high ^ value) &* 0xff51_afd7_ed55_8ccd
        high ^= high >> 31
    }

    /// 32 hexadecimal digits.
    var hexadecimal: String {
        [Self.mixed(low ^ high << 1), Self.mixed(high)].map { value in
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Spreads every bit over all others (the finaliser of SplitMix64).
    private static func mixed(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
