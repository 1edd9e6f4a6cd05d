import Synchronization
import Testing

@testable import RAGKit

/// The lengths of the sequences of each batch.
private final class Batches: Sendable {
    private let state = Mutex<[[Int]]>([])
    var lengths: [[Int]] { state.withLock { $0 } }
    func note(_ lengths: [Int]) { state.withLock { $0.append(lengths) } }
}

/// A sequence's vector is its length, its first id and the sum of its ids.
private final class SumEncoder: Module, TextEncoder {
    let configuration: Batches
    var dimension: Int { 3 }
    var vocabularySize: Int { 10_000 }
    var maxTokens: Int? { 32 }

    init(configuration: Batches) {
        self.configuration = configuration
        super.init()
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        configuration.note(batch.lengths)
        let rows = batch.sequences.flatMap { ids -> [Float] in
            [Float(ids.count), Float(ids[0]), Float(ids.reduce(0, +))]
        }
        return Tensor(rows, shape: [batch.count, 3])
    }
}

@Suite struct EncodingBlockTests {
    /// From one id to 17, in no order of length.
    private static let sequences: [[Int32]] = (0..<23).map { row -> [Int32] in
        let length = 1 + (row * 7) % 17
        return (0..<length).map { Int32(row * 100 + $0) }
    }

    private func encode(
        blockSize: Int, tokensPerBatch: Int
    ) throws -> (vectors: Tensor, batches: [[Int]]) {
        let tokens = TokenSequences(Self.sequences)
        let encoder = SumEncoder(configuration: Batches())
        let writer = try VectorFileWriter(count: tokens.count, dimension: 3, at: nil)
        for rows in EncodingBlock.rows(of: tokens.count, size: blockSize) {
            let block = EncodingBlock(rows, of: tokens, tokensPerBatch: tokensPerBatch)
            let vectors = block.emptyVectors(of: encoder)
            #expect(vectors.shape == [rows.count, 3])
            // In any order, as several threads would.
            let done = (0..<block.count).reversed().map {
                block.encode($0, with: encoder, into: vectors)
            }
            #expect(done.reduce(0, +) == rows.count, "each row once")
            try writer.append(vectors)
        }
        return (try writer.finish().vectors, encoder.configuration.lengths)
    }

    @Test(arguments: [0, 1, 5, 6, 7, 1000], [1, 3, 6, 2000])
    func blocksCoverAllRowsInOrder(count: Int, size: Int) {
        let blocks = EncodingBlock.rows(of: count, size: size)
        #expect(Array(blocks.joined()) == Array(0..<count))
        #expect(blocks.dropLast().allSatisfy { $0.count == size })
        #expect(blocks.allSatisfy { !$0.isEmpty && $0.count <= size })
    }

    /// The size is part of what a run's bits depend on.
    @Test func theSizeIsFixed() {
        #expect(
            EncodingBlock.rows(of: 140_000) == [0..<65_536, 65_536..<131_072, 131_072..<140_000])
    }

    @Test(arguments: [1, 4, 10, 23, 100], [1, 40, 4096])
    func rowsAreTheirSequences(blockSize: Int, tokensPerBatch: Int) throws {
        let (vectors, batches) = try encode(blockSize: blockSize, tokensPerBatch: tokensPerBatch)
        let expected = Self.sequences.flatMap {
            [Float($0.count), Float($0[0]), Float($0.reduce(0, +))]
        }
        expectIdentical(vectors, Tensor(expected, shape: [23, 3]))
        #expect(batches.allSatisfy { $0 == $0.sorted() }, "of similar length, shortest first")
        #expect(batches.allSatisfy { $0.count == 1 || $0.count * $0[0] <= tokensPerBatch })
        #expect(batches.joined().count == 23)
        if tokensPerBatch == 4096 {
            #expect(batches.count == (23 + blockSize - 1) / blockSize, "one for each block")
        }
    }

    /// Where batches hold the same sequences, a model's vectors are the same to the last bit.
    @Test func blocksDoNotChangeTheBits() throws {
        let encoder = TinyRag.encoder(.context, vocabulary: 3000, seed: 6)
        let tokens = TokenSequences(Self.sequences)
        func vectors(blockSize: Int) -> [Tensor] {
            EncodingBlock.rows(of: tokens.count, size: blockSize).map { rows in
                // Batches of one sequence.
                let block = EncodingBlock(rows, of: tokens, tokensPerBatch: 1)
                #expect(block.count == rows.count)
                let vectors = block.emptyVectors(of: encoder)
                for number in 0..<block.count {
                    _ = block.encode(number, with: encoder, into: vectors)
                }
                return vectors
            }
        }
        let whole = vectors(blockSize: 23)
        #expect(whole.count == 1 && Set(whole[0].elements).count > 100)
        for size in [1, 5, 22] {
            expectIdentical(.concatenated(vectors(blockSize: size)), whole[0], "size \(size)")
        }
    }
}
