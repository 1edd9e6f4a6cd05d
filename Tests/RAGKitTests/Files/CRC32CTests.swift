import Testing

@testable import RAGKit

/// The vectors of RFC 3720, appendix B.4, and the check value of the CRC catalogue.
private let vectors: [([UInt8], UInt32)] = [
    ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
    ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
    ([UInt8](0..<32), 0x46DD_794E),
    ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
    ([UInt8]("123456789".utf8), 0xE306_9283),
    ([], 0),
]

@Suite struct CRC32CTests {
    @Test(arguments: vectors)
    func matchesKnownVectors(bytes: [UInt8], expected: UInt32) {
        #expect(bytes.withUnsafeBytes { CRC32C.checksum(of: $0) } == expected)
    }

    @Test func doesNotDependOnTheCuts() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* $0 &+ 3) }
        let whole = bytes.withUnsafeBytes { CRC32C.checksum(of: $0) }
        for cut in bytes.indices {
            var crc = CRC32C()
            bytes[..<cut].withUnsafeBytes { crc.update($0) }
            bytes[cut...].withUnsafeBytes { crc.update($0) }
            #expect(crc.value == whole, "cut at \(cut)")
        }
    }

    @Test func digestFindsEveryKindOfChange() {
        var bytes = [UInt8](repeating: 7, count: FileDigest.blockSize * 2 + 5)
        let digest = bytes.withUnsafeBytes { FileDigest(of: $0) }
        #expect(digest.blocks.count == 3)
        #expect(bytes.withUnsafeBytes { digest.problem(in: $0) } == nil)
        for position in [0, FileDigest.blockSize - 1, FileDigest.blockSize, bytes.count - 1] {
            bytes[position] ^= 1
            #expect(bytes.withUnsafeBytes { digest.problem(in: $0) } != nil, "byte \(position)")
            let isFirst = position < FileDigest.blockSize
            #expect((bytes.withUnsafeBytes { digest.problem(in: $0, limit: 1) } != nil) == isFirst)
            bytes[position] ^= 1
        }
        bytes.removeLast()
        #expect(bytes.withUnsafeBytes { digest.problem(in: $0) } != nil)
    }
}
