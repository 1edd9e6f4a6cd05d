import Foundation
import Testing

@testable import RAGKit

@Suite struct VectorFileTests {
    private static let ids: [PassageID] = [2, 5, 9]
    /// Three numbers in each row, so that the ids do not begin at a multiple of 8 bytes.
    private static let vectors = Tensor([1, 0, 0, 0, 1, 0, 1, 1, 1], shape: [3, 3])

    private func write(
        _ blocks: [Range<Int>], ids: [PassageID]?, to url: URL?
    ) throws -> VectorFile {
        let writer = try VectorFileWriter(count: 3, dimension: 3, ids: ids, at: url)
        for rows in blocks {
            #expect(writer.rows == rows.lowerBound)
            try writer.append(Self.vectors.slice(rows))
        }
        return try writer.finish()
    }

    /// Found, excluded and gathered by id, never by place.
    private func expectIDs(
        _ index: any VectorIndex, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let queries = Tensor([1, 0, 0, 0, 2, 1], shape: [2, 3])
        func hits(_ hits: (id: PassageID, score: Float)...) -> [SearchHit] {
            hits.map { SearchHit(id: $0.id, score: $0.score) }
        }
        #expect(
            try index.search(queries, count: 10)
                == [hits((2, 1), (9, 1), (5, 0)), hits((9, 3), (5, 2), (2, 0))],
            sourceLocation: sourceLocation)
        // 0 and 1 are places of rows, but no ids.
        let excluded = SearchParameters(excluded: [[2, 0, 3], [9, 1]])
        #expect(
            try index.search(queries, count: 1, excluded) == [hits((9, 1)), hits((5, 2))],
            sourceLocation: sourceLocation)
        #expect(
            index.vectors(of: [9, 2, 9]).elements == [1, 1, 1, 1, 0, 0, 1, 1, 1],
            sourceLocation: sourceLocation)
        #expect((0..<3).map { index.id(at: $0) } == Self.ids, sourceLocation: sourceLocation)
    }

    @Test func idsInMemoryAndOnDisk() throws {
        let folder = try TemporaryDirectory()
        try expectIDs(FlatIndex(VectorFile(Self.vectors, ids: Self.ids)))
        for (number, blocks) in [[0..<3], [0..<1, 1..<3], [0..<2, 2..<2, 2..<3]].enumerated() {
            let url = folder.file("\(number).safetensors")
            try expectIDs(FlatIndex(write(blocks, ids: Self.ids, to: nil)))
            try expectIDs(FlatIndex(write(blocks, ids: Self.ids, to: url)))
            let opened = try VectorFile(contentsOf: url)
            try expectIDs(FlatIndex(opened))
            #expect(Int(bitPattern: opened.vectors.pointer) % 64 == 0)
            for (id, row) in [(2, 0), (5, 1), (9, 2)] {
                #expect(opened.row(of: PassageID(id)) == row)
                #expect(opened.id(ofRow: row) == PassageID(id))
            }
            for id in [0, 1, 3, 8, 10, -1, .max, .min] {
                #expect(opened.row(of: PassageID(id)) == nil, "\(id)")
            }
            // Other tools read it as it is.
            let file = try SafetensorsFile(contentsOf: url)
            #expect(file.names == ["embeddings", "ids"])
            #expect(file.entry(named: "ids")?.shape == [3])
        }
    }

    @Test func idsInAStore() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        let published = try store.publish(VectorFile(Self.vectors, ids: Self.ids))
        try expectIDs(published.index)
        let opened = try #require(try IndexStore(directory: folder.url).open())
        try expectIDs(opened.version.index)
    }

    /// Ids 0, 1, 2, … need no column.
    @Test(arguments: [nil, [0, 1, 2]] as [[PassageID]?])
    func plainIDs(ids: [PassageID]?) throws {
        let folder = try TemporaryDirectory()
        for url in [nil, folder.file("rows.safetensors")] {
            let rows = try write([0..<1, 1..<3], ids: ids, to: url)
            #expect(rows.rowIDs == nil)
            #expect((-1...3).map { rows.row(of: PassageID($0)) } == [nil, 0, 1, 2, nil])
            expectIdentical(rows.vectors, Self.vectors)
            expectIdentical(rows.vectors(of: [2, 0]), Self.vectors.rows([2, 0]))
        }
    }

    @Test func refusesIDsThatAreNone() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("rows.safetensors")
        func write(_ ids: [Int64], shape: [Int] = [3, 3], type: SafetensorsDType = .float32) throws
        {
            var writer = SafetensorsWriter()
            let count = shape.product * type.byteCount
            try writer.add(
                "embeddings", dtype: type, shape: shape, values: [UInt8](repeating: 0, count: count)
            )
            try writer.add("ids", dtype: .int64, shape: [ids.count], values: ids)
            try writer.write(to: url)
        }
        try write([0, 7, .max])
        #expect(try VectorFile(contentsOf: url).row(of: PassageID(.max)) == 2)
        for ids in [[5, 2, 9], [2, 2, 9], [-1, 0, 1], [0, 1], [0, 1, 2, 3], []] as [[Int64]] {
            try write(ids)
            let fault = #expect(throws: CheckpointError.self) {
                _ = try VectorFile(contentsOf: url)
            }
            #expect(fault?.description.contains("ids") == true, "\(ids)")
        }
        try write([0, 1, 2], shape: [9])
        #expect(throws: CheckpointError.self) { _ = try VectorFile(contentsOf: url) }
        try write([0, 1, 2], type: .float64)
        #expect(throws: CheckpointError.self) { _ = try VectorFile(contentsOf: url) }
        let none = folder.file("none.safetensors")
        let error = #expect(throws: CheckpointError.self) { _ = try VectorFile(contentsOf: none) }
        #expect(error?.description.contains("none.safetensors") == true)
    }

    /// A row that is not finite is named by its place among all rows.
    @Test func refusesRowsThatAreNotFinite() throws {
        let folder = try TemporaryDirectory()
        for url in [nil, folder.file("rows.safetensors")] {
            let writer = try VectorFileWriter(count: 4, dimension: 2, at: url)
            try writer.append(.zeros([2, 2]))
            #expect(throws: IndexError.notFinite(row: 3, column: 0, value: .infinity)) {
                try writer.append(Tensor([1, 2, .infinity, .nan], shape: [2, 2]))
            }
        }
    }

    @Test func refusesSizesThatAreTooLarge() throws {
        let folder = try TemporaryDirectory()
        #expect(throws: CheckpointError.self) {
            _ = try VectorFileWriter(
                count: .max, dimension: 2, at: folder.file("rows.safetensors"))
        }
        #expect(try folder.names().isEmpty)
        // What is there already is not written over.
        let url = try folder.write([1], to: "there")
        #expect(throws: FileError.self) {
            _ = try VectorFileWriter(count: 1, dimension: 2, at: url)
        }
        #expect(try Data(contentsOf: url) == Data([1]))
    }
}
