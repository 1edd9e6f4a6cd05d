import Testing

@testable import RAGKit

@Suite struct TensorTests {
    @Test func holdsItsElementsInRowMajorOrder() {
        let x = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
        #expect(x.shape == [2, 3] && x.rank == 2 && x.count == 6)
        #expect(x.elements == [1, 2, 3, 4, 5, 6])
        #expect(x.withUnsafeElements { $0[4] } == 5)
        #expect(x.dim(0) == 2 && x.dim(-1) == 3 && x.dim(-2) == 2)
        #expect(!x.isRecorded)
    }

    @Test func anyCollectionOfNumbersWillDo() {
        #expect(Tensor(ArraySlice([9, 1, 2, 9])[1...2], shape: [2]).elements == [1, 2])
        #expect(Tensor(repeatElement(4, count: 3), shape: [3]).elements == [4, 4, 4])
    }

    @Test func scalarsAndEmptyTensors() {
        #expect(Tensor(7).shape == [] && Tensor(7).count == 1 && Tensor(7).item() == 7)
        #expect(Tensor([5], shape: [1, 1]).item() == 5)
        #expect(Tensor([], shape: [2, 0, 3]).count == 0)
        #expect(Tensor.zeros([0]).elements == [])
    }

    @Test func filledTensors() {
        #expect(Tensor.zeros([2, 2]).elements == [0, 0, 0, 0])
        #expect(Tensor.full([3], -2.5).elements == [-2.5, -2.5, -2.5])
        #expect(Tensor.full([], 1).item() == 1)
    }

    @Test func describesItself() {
        #expect("\(Tensor([1, 2.5], shape: [2]))" == "Tensor[2] [1.0, 2.5]")
        #expect("\(Tensor.zeros([3, 3]))".hasSuffix("0.0, …]"))
        #expect("\(Tensor(3))" == "Tensor[] [3.0]")
    }

    @Test func rowsAreWhatTheLastDimensionLeaves() {
        #expect([2, 3, 5].rowCount == 6 && [7].rowCount == 1 && [Int]().rowCount == 1)
        #expect([2, 3, 5].product == 30 && [Int]().product == 1 && [4, 0].product == 0)
    }

    /// Only storage that nobody else holds is written in place.
    @Test func owningCopiesWhatIsShared() {
        let shared = Tensor.counting([4])
        let copy = shared.owned()
        #expect(copy.storage !== shared.storage)
        copy.writablePointer[0] = 9
        #expect(shared.elements == [0, 1, 2, 3] && copy.elements == [9, 1, 2, 3])
        let part = Tensor.counting([4]).slice(2..<4).owned()
        part.writablePointer[1] = 7
        #expect(part.elements == [2, 7])
        let only = Tensor.counting([4])
        let address = only.pointer
        #expect((consume only).owned().pointer == address)
    }

    @Test func borrowedMemoryIsNeverWritten() {
        final class Owner: MemoryLender {
            let memory = UnsafeMutablePointer<Float>.allocate(capacity: 3)
            var returned: [Int] = []
            func takeBack(_ bytes: UnsafeRawBufferPointer) {
                #expect(bytes.baseAddress == UnsafeRawPointer(memory))
                returned.append(bytes.count)
            }
            deinit { memory.deallocate() }
        }
        let owner = Owner()
        owner.memory.update(repeating: 4, count: 3)
        let memory = UnsafePointer(owner.memory)
        func borrowed() -> Tensor {
            Tensor(
                shape: [2], storage: TensorStorage(borrowing: memory, count: 3, owner: owner),
                offset: 1)
        }
        let own = borrowed().owned()
        own.writablePointer[0] = 1
        #expect(own.elements == [1, 4] && owner.returned == [12])
        #expect(borrowed().elements == [4, 4] && owner.returned == [12, 12])
    }

    @Test func copiesHaveStorageOfTheirOwn() {
        let x = Tensor.counting([6]).slice(2..<5)
        #expect(x.copied().storage !== x.storage && x.copied().elements == [2, 3, 4])
    }

    @Test func crossesTasks() async {
        let x = Tensor.counting([3]).variable()
        let y = x * 2
        let value = y.detached
        let sum = await Task.detached { value.sum().item() }.value
        #expect(sum == 6 && !value.isRecorded && y.isRecorded)
    }

    @Test func misuseStops() async {
        await #expect(processExitsWith: .failure) { _ = Tensor([1, 2], shape: [3]) }
        await #expect(processExitsWith: .failure) { _ = Tensor([1, 2], shape: [-1, -2]) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2]).item() }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).dim(2) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).dim(-3) }
    }
}
