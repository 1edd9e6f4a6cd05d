/// The place of an archive's table of contents, from the records at the end of the file.
struct ZipDirectory {
    var range: Range<Int>
    var count: Int

    private static let endMark = 0x0605_4B50
    private static let wideMark = 0x0606_4B50
    private static let locatorMark = 0x0706_4B50

    init(_ bytes: ZipBytes) throws {
        let end = bytes.count - 22
        guard end >= 0, try bytes.medium(at: end) == Self.endMark else {
            throw bytes.malformed(
                bytes.count,
                "there is no table of contents at the end; the file is cut off: "
                    + "copy or download it again")
        }
        let disks = try (bytes.small(at: end + 4), bytes.small(at: end + 6))
        let (here, total) = try (bytes.small(at: end + 8), bytes.small(at: end + 10))
        var (size, start) = try (bytes.medium(at: end + 12), bytes.medium(at: end + 16))
        guard disks == (0, 0) || disks == (0xFFFF, 0xFFFF), here == total,
            try bytes.small(at: end + 20) == 0
        else { throw bytes.malformed(end, "it has several parts or a comment") }

        var tableEnd = end
        count = total
        if end >= 20, try bytes.medium(at: end - 20) == Self.locatorMark {
            let wide = try bytes.large(at: end - 12)
            guard wide <= end - 20 - 56, try bytes.medium(at: wide) == Self.wideMark,
                try bytes.large(at: wide + 4) == end - 20 - wide - 12,
                try bytes.medium(at: wide + 16) == 0, try bytes.medium(at: wide + 20) == 0
            else { throw bytes.malformed(end - 20, "its zip64 record is not where it should be") }
            let counts = try (bytes.large(at: wide + 24), bytes.large(at: wide + 32))
            let place = try (size: bytes.large(at: wide + 40), start: bytes.large(at: wide + 48))
            guard counts.0 == counts.1, count == counts.0 || count == 0xFFFF,
                size == place.size || size == 0xFFFF_FFFF,
                start == place.start || start == 0xFFFF_FFFF
            else { throw bytes.malformed(wide, "its two end records do not agree") }
            (count, size, start, tableEnd) = (counts.0, place.size, place.start, wide)
        }
        guard start <= tableEnd, tableEnd - start == size, count <= size / 46 else {
            throw bytes.malformed(
                end,
                "a table of contents of \(count) entries and \(size) bytes at \(start) does "
                    + "not end at \(tableEnd)")
        }
        range = start..<tableEnd
    }
}

/// One line of the table of contents.
struct ZipRecord {
    let name: String
    let start: Int
    let end: Int
    private let flags: Int
    private let crc: UInt32
    private let size: Int
    private let place: Int

    private static let mark = 0x0201_4B50
    private static let localMark = 0x0403_4B50
    private static let descriptorMark = 0x0807_4B50
    /// Sizes come in a descriptor behind the data; names are UTF-8.
    private static let (hasDescriptor, isUTF8) = (0x0008, 0x0800)

    init(_ bytes: ZipBytes, at start: Int, limit: Int) throws {
        self.start = start
        guard try bytes.medium(at: start, limit: limit) == Self.mark else {
            throw bytes.malformed(start, "the table of contents is damaged")
        }
        flags = try bytes.small(at: start + 8, limit: limit)
        let method = try bytes.small(at: start + 10, limit: limit)
        crc = try bytes.number(at: start + 16, as: UInt32.self, limit: limit)
        let sizes = try (
            bytes.medium(at: start + 20, limit: limit), bytes.medium(at: start + 24, limit: limit)
        )
        let lengths = try (0..<3).map { try bytes.small(at: start + 28 + 2 * $0, limit: limit) }
        let disk = try bytes.small(at: start + 34, limit: limit)
        let offset = try bytes.medium(at: start + 42, limit: limit)
        let nameEnd = start + 46 + lengths[0]
        end = nameEnd + lengths[1] + lengths[2]
        guard end <= limit else { throw bytes.malformed(start, "the table of contents is cut off") }
        name = try Self.name(bytes, start + 46..<nameEnd)
        guard disk == 0, flags & ~(Self.hasDescriptor | Self.isUTF8) == 0 else {
            throw bytes.malformed(start, "entry '\(name)' is encrypted or of an unknown kind")
        }
        guard method == 0 else {
            throw bytes.malformed(
                start,
                "entry '\(name)' is compressed (method \(method)), PyTorch stores its "
                    + "entries as they are")
        }
        var wide = try ZipWideFields(bytes, nameEnd..<nameEnd + lengths[1])
        let unpacked = try wide.value(sizes.1)
        let packed = try wide.value(sizes.0)
        place = try wide.value(offset)
        guard packed == unpacked else {
            throw bytes.malformed(
                start, "entry '\(name)' claims \(unpacked) bytes and stores \(packed)")
        }
        size = packed
    }

    private static func name(_ bytes: ZipBytes, _ range: Range<Int>) throws -> String {
        guard let name = String(validating: bytes.file.bytes[range], as: UTF8.self) else {
            throw bytes.malformed(range.lowerBound, "an entry's name is not UTF-8")
        }
        return name
    }

    /// Compares with the entry's own header, and finds its data.
    func entry(_ bytes: ZipBytes, limit: Int) throws -> ZipArchive.Entry {
        guard try bytes.medium(at: place, limit: limit) == Self.localMark else {
            throw bytes.malformed(place, "there is no header of entry '\(name)'")
        }
        let flags = try bytes.small(at: place + 6, limit: limit)
        let method = try bytes.small(at: place + 8, limit: limit)
        let sum = try bytes.number(at: place + 14, as: UInt32.self, limit: limit)
        let sizes = try (
            bytes.medium(at: place + 18, limit: limit), bytes.medium(at: place + 22, limit: limit)
        )
        let nameEnd = place + 30 + (try bytes.small(at: place + 26, limit: limit))
        let begin = nameEnd + (try bytes.small(at: place + 28, limit: limit))
        guard begin <= limit, size <= limit - begin else {
            throw bytes.malformed(place, "entry '\(name)' of \(size) bytes ends beyond the file")
        }
        guard flags == self.flags, method == 0,
            try Self.name(bytes, place + 30..<nameEnd) == name
        else { throw bytes.malformed(place, "the header of entry '\(name)' tells another story") }
        var wide = try ZipWideFields(bytes, nameEnd..<begin)
        let (unpacked, packed) = try (wide.value(sizes.1), wide.value(sizes.0))
        var end = begin + size
        if flags & Self.hasDescriptor != 0 {
            guard sum == 0 || sum == crc, [0, size].contains(packed), packed == unpacked else {
                throw bytes.malformed(place, "the header of entry '\(name)' has another size")
            }
            end = try descriptorEnd(bytes, at: end, limit: limit)
        } else if sum != crc || packed != size || unpacked != size {
            throw bytes.malformed(place, "the header of entry '\(name)' has another size")
        }
        return ZipArchive.Entry(
            name: name, data: begin..<begin + size, crc: crc, extent: place..<end)
    }

    /// Checks the record behind the data, whose sizes have 32 bits or 64.
    private func descriptorEnd(_ bytes: ZipBytes, at start: Int, limit: Int) throws -> Int {
        if try bytes.medium(at: start, limit: limit) == Self.descriptorMark,
            try bytes.number(at: start + 4, as: UInt32.self, limit: limit) == crc
        {
            if try bytes.medium(at: start + 8, limit: limit) == size,
                try bytes.medium(at: start + 12, limit: limit) == size
            {
                return start + 16
            }
            if try bytes.large(at: start + 8, limit: limit) == size,
                try bytes.large(at: start + 16, limit: limit) == size
            {
                return start + 24
            }
        }
        throw bytes.malformed(start, "the descriptor of entry '\(name)' has another size or sum")
    }
}

/// The 64-bit values that stand in for fields of all ones, in their order.
struct ZipWideFields {
    private let bytes: ZipBytes
    private var rest: Range<Int>

    init(_ bytes: ZipBytes, _ extra: Range<Int>) throws {
        self.bytes = bytes
        rest = extra.upperBound..<extra.upperBound
        var position = extra.lowerBound
        while position < extra.upperBound {
            let kind = try bytes.small(at: position, limit: extra.upperBound)
            let size = try bytes.small(at: position + 2, limit: extra.upperBound)
            let end = position + 4 + size
            guard end <= extra.upperBound else {
                throw bytes.malformed(position, "an extra field is cut off")
            }
            if kind == 1 {
                guard rest.isEmpty else { throw bytes.malformed(position, "two zip64 fields") }
                rest = position + 4..<end
            }
            position = end
        }
    }

    mutating func value(_ short: Int) throws -> Int {
        guard short == 0xFFFF_FFFF else { return short }
        let value = try bytes.large(at: rest.lowerBound, limit: rest.upperBound)
        rest = rest.lowerBound + 8..<rest.upperBound
        return value
    }
}
