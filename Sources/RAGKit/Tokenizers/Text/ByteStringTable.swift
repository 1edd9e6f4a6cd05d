/// A hash table from byte strings to ids: open addressing with linear probing.
///
/// The hot loops look up pieces of a larger buffer, for which a `Dictionary` would need a key
/// object each time. Growth and probing depend on the keys alone, so every process behaves the
/// same.
struct ByteStringTable: Sendable {
    /// An entry of 16 bytes: most look-ups that find nothing touch one cache line.
    private struct Slot {
        var hash: UInt32 = 0
        var start: UInt32 = 0
        var length: UInt32 = 0
        var id: Int32 = -1  // -1: empty
    }

    private var slots: [Slot]
    private var keys: [UInt8] = []
    private(set) var count = 0
    /// The length of the longest key, in bytes.
    private(set) var longestKey = 0

    /// - Parameter capacity: The number of keys expected; the table grows if there are more.
    init(capacity: Int = 16) {
        var size = 32
        while size < capacity * 2 { size *= 2 }
        slots = [Slot](repeating: Slot(), count: size)
    }

    /// The hash of an empty key. Extend it byte by byte with `extended(_:by:)`.
    static let emptyHash = StableHash.empty

    /// FNV-1a, which gives the hashes of all prefixes on the way.
    @inline(__always)
    static func extended(_ hash: UInt64, by byte: UInt8) -> UInt64 {
        StableHash.extended(hash, by: UInt64(byte))
    }

    @inline(__always)
    static func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash = emptyHash
        for byte in key { hash = extended(hash, by: byte) }
        return hash
    }

    /// - Returns: The id stored for `key`, or -1.
    @inline(__always)
    func id(of key: UnsafeBufferPointer<UInt8>) -> Int32 { id(of: key, hash: Self.hash(key)) }

    /// - Parameter hash: The hash of `key`, if the caller has it already.
    @inline(__always)
    func id(of key: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int32 {
        slots.withUnsafeBufferPointer { slots in
            let mask = slots.count - 1
            let folded = Self.folded(hash)
            var index = Int(folded) & mask
            while slots[index].id >= 0 {
                let slot = slots[index]
                if slot.hash == folded, matches(slot, key) { return slot.id }
                index = (index + 1) & mask
            }
            return -1
        }
    }

    func id(of key: String) -> Int32 {
        var key = key
        return key.withUTF8 { id(of: $0) }
    }

    /// The id stored for `key`, or `nil`.
    func known(_ key: String) -> Int32? {
        let id = id(of: key)
        return id < 0 ? nil : id
    }

    /// Stores `id` for `key` unless the key is there already.
    ///
    /// - Precondition: `id >= 0`; all keys together have less than 4 GiB.
    /// - Returns: The id stored before, or -1 if the key is new.
    mutating func insert(_ key: UnsafeBufferPointer<UInt8>, id: Int32) -> Int32 {
        precondition(id >= 0, "ByteStringTable: the id \(id) is negative")
        let hash = Self.hash(key)
        let known = self.id(of: key, hash: hash)
        if known >= 0 { return known }
        if count * 2 >= slots.count { grow() }
        place(
            Slot(
                hash: Self.folded(hash), start: UInt32(keys.count), length: UInt32(key.count),
                id: id))
        keys.append(contentsOf: key)
        count += 1
        longestKey = max(longestKey, key.count)
        return -1
    }

    mutating func insert(_ key: String, id: Int32) -> Int32 {
        var key = key
        return key.withUTF8 { insert($0, id: id) }
    }

    @inline(__always)
    private func matches(_ slot: Slot, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
        guard Int(slot.length) == key.count else { return false }
        return keys.withUnsafeBufferPointer { keys in
            let start = Int(slot.start)
            for index in 0..<key.count where keys[start + index] != key[index] { return false }
            return true
        }
    }

    /// The hash in 32 bits. The low bits of FNV depend on the low bits of the bytes only, so the
    /// high ones are folded in.
    @inline(__always)
    private static func folded(_ hash: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hash ^ (hash >> 29))
    }

    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        var index = Int(slot.hash) & mask
        while slots[index].id >= 0 { index = (index + 1) & mask }
        slots[index] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](repeating: Slot(), count: old.count * 2)
        for slot in old where slot.id >= 0 { place(slot) }
    }
}
