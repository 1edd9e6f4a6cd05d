/// A digest of 128 bits that is the same in every process and on every machine.
///
/// It tells different vocabularies apart, but does not protect against forged ones.
struct StableDigest {
    private var low = StableHash.empty
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
        low = StableHash.extended(low, by: value)
        high = (high ^ value) &* 0xff51_afd7_ed55_8ccd
        high ^= high >> 31
    }

    /// The digest as 32 hexadecimal digits.
    var hexadecimal: String {
        [StableHash.mixed(low ^ high << 1), StableHash.mixed(high)].map { value in
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
