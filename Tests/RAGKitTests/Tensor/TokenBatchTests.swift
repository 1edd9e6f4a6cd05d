import Testing

@testable import RAGKit

@Suite struct TokenBatchTests {
    @Test func sequencesLieBackToBack() {
        let batch = TokenBatch([[5, 6, 7], [], [8]])
        #expect(batch.ids == [5, 6, 7, 8] && batch.offsets == [0, 3, 3, 4])
        #expect(batch.count == 3 && batch.totalTokens == 4 && batch.lengths == [3, 0, 1])
        #expect(Array(batch[0]) == [5, 6, 7] && batch[1].isEmpty && Array(batch[2]) == [8])
        #expect(batch.sequences == [[5, 6, 7], [], [8]])
        #expect(batch.positions == [0, 1, 2, 0])
        #expect(batch.typeIDs == nil)
        #expect(batch.firstTokens == [0, 3, 3])
    }

    @Test func anEmptyBatch() {
        let batch = TokenBatch()
        #expect(batch.count == 0 && batch.totalTokens == 0 && batch.offsets == [0])
        #expect(batch == TokenBatch([[Int32]]()) && batch.positions == [] && batch.sequences == [])
        #expect(batch.firstTokens == [])
    }

    @Test func typesFollowTheIds() {
        var batch = TokenBatch([[5, 6], [7]], typeIDs: [[0, 1], [1]])
        #expect(batch.typeIDs == [0, 1, 1])
        batch.append([8, 9])
        #expect(batch.typeIDs == [0, 1, 1, 0, 0] && batch.ids == [5, 6, 7, 8, 9])
        #expect(batch.offsets == [0, 2, 3, 5])
    }

    @Test func typesThatDoNotFitStop() async {
        await #expect(processExitsWith: .failure) { _ = TokenBatch([[5, 6]], typeIDs: [[0]]) }
        await #expect(processExitsWith: .failure) {
            _ = TokenBatch([[5], [6]], typeIDs: [[0, 0], []])
        }
    }
}
