#if os(Linux)
    import Foundation
    import Testing

    @testable import RAGKit

    @Suite struct MappedIndexTests {
        /// An index of 300 MB takes no memory of the process's own when it is opened and searched:
        /// what is read of it are pages of the file. Writing it takes a block at a time.
        ///
        /// One of the slower tests: it writes 300 MB.
        @Test func openingCopiesNothing() async {
            await #expect(processExitsWith: .success) {
                let (rows, dimension, blocks) = (10_000, 768, 10)
                let folder = try TemporaryDirectory()
                let store = try IndexStore(directory: folder.url)
                func anonymous() throws -> Int {
                    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
                    let line = try #require(
                        status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
                    return try #require(Int(line.filter(\.isNumber))) * 1024
                }
                var numbers = SeededGenerator(seed: 4)
                let block = Tensor.randomUniform(
                    [rows, dimension], in: -0.5..<0.5, using: &numbers)
                let query = block.slice(77..<78)
                let best = try FlatIndex(block).search(query, count: 1)[0][0]

                let empty = try anonymous()
                let draft = try IndexDraft(
                    count: rows * blocks, dimension: dimension, kind: FlatIndexKind(), store: store)
                for _ in 0..<blocks { try draft.writer.append(block) }
                _ = try draft.publish(step: 0, origin: IndexOrigin(), previous: nil)
                #expect(try anonymous() - empty < 40 << 20, "written as it came")

                let before = try anonymous()
                let version = try #require(try store.open()).version
                #expect(version.index.count == 100_000 && version.index.dimension == dimension)
                let found = try version.index.search(query, count: blocks)[0]
                let growth = try anonymous() - before
                #expect(growth < 10 << 20, "\(growth) bytes of a file of 307,200,000")
                // The whole file was read: each block holds the best row once.
                #expect(
                    found.map(\.id.rawValue).sorted()
                        == (0..<blocks).map { $0 * rows + best.id.rawValue })
                #expect(found.allSatisfy { abs($0.score - best.score) < 1e-3 * best.score })
                let last = PassageID(9 * rows + best.id.rawValue)
                #expect(
                    version.index.vectors(of: [last]).elements
                        == block.slice(best.id.rawValue..<best.id.rawValue + 1).elements)
            }
        }
    }
#endif
