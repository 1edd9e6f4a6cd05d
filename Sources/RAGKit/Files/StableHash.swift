/// Hashes that are the same in every process and on every machine, unlike `Hasher`'s.
enum StableHash {
    /// The FNV-1a hash of nothing. Extend it value by value.
    static let empty: UInt64 = 0xCBF2_9CE4_8422_2325

    /// One step of 64-bit FNV-1a.
    @inline(__always)
    static func extended(_ hash: UInt64, by value: UInt64) -> UInt64 {
        (hash ^ value) &* 0x0000_0100_0000_01B3
    }

    /// SplitMix64's finalizer: a bijection that scatters nearby inputs.
    @inline(__always)
    static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
