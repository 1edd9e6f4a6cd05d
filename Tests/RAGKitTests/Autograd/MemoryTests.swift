import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// In processes of their own: the count of live storages is the whole process's, and a stack
/// overflow would end it.
@Suite struct MemoryTests {
    @Test func aLongChainIsWalkedOnASmallStack() async {
        await #expect(processExitsWith: .success) {
            onASmallStack {
                let x = Tensor(1).variable()
                var y = x
                for _ in 0..<200_000 { y = y + 1 }
                #expect(gradients(of: y, for: [x], retainingTape: true)[0].item() == 1)
                #expect(gradients(of: y, for: [x])[0].item() == 1)
            }
        }
    }

    @Test func aLongChainIsDroppedOnASmallStack() async {
        await #expect(processExitsWith: .success) {
            onASmallStack {
                let x = Tensor(1).variable()
                let steps: [(Tensor) -> Tensor] = [
                    { $0 * 1.0 }, { $0 + $0 },
                    { x in .custom("same", [x], value: x.detached) { [$0] } },
                    // The documentation warns of this one, which is freed all the same.
                    { x in .custom("kept", [x], value: x.detached) { _ in [x.detached] } },
                ]
                for step in steps {
                    var y = x
                    for _ in 0..<200_000 { y = step(y) }
                    #expect(y.isRecorded)
                }
            }
        }
    }

    /// No operator's pullback holds the tape of its inputs.
    @Test func chainsOfEveryOperatorAreDroppedOnASmallStack() async {
        await #expect(processExitsWith: .success) {
            onASmallStack {
                let ones = Tensor.full([2], 1)
                let own = SegmentMap(selfAttention: [0, 2])
                let steps: [(Tensor) -> Tensor] = [
                    { $0 - ones }, { $0 / 2 }, { $0 * $0 }, { $0.gelu() }, { $0.softmax() },
                    { $0.logSoftmax() }, { $0.sum(axis: 1, keepingDimension: true) + $0 },
                    { $0.logSumExp(axis: 0) + $0 }, { $0.max().reshaped([2, 1]) + $0 },
                    { $0.transposed() }, { $0.permuted([1, 0]) },
                    { .concatenated([$0.slice(1..<2), $0.slice(0..<1)]) }, { $0.rows([1, 0]) },
                    { $0.segmentMeans(offsets: [0, 1, 2]) }, { $0.l2Normalized() },
                    { $0.dropout(DropoutMask(rate: 0.5, seed: 1, stream: 1)) },
                    { $0.layerNorm(gain: ones, bias: ones, epsilon: 1e-5, residual: $0) },
                    { $0.rmsNorm(gain: ones, epsilon: 1e-5) }, { $0.matmul($0) },
                    { $0.linear($0, activation: .tanh) }, { $0.dotRows($0).reshaped([2, 1]) + $0 },
                    { .embeddingSum(words: EmbeddingTerm($0, [0, 1])) },
                    { .attention($0, $0, $0, segments: own, heads: 1, scale: 1) },
                    { x in
                        let projection = VocabularyProjection(weight: x)
                        return projection.logProbabilities(x, targets: [0, 1]).target + x
                    },
                    { x in
                        let projection = VocabularyProjection(weight: x)
                        return projection.marginalLogProbabilities(
                            x, priors: x.slice(0..<1), targets: [0]
                        ).target + x
                    },
                ]
                for (index, step) in steps.enumerated() {
                    var y = Tensor.full([2, 2], 0.5).variable()
                    for _ in 0..<10_000 { y = step(y) }
                    #expect(y.isRecorded && y.shape == [2, 2], "operator \(index)")
                }
            }
        }
    }

    @Test func liveStoragesReturnToWhereTheyWere() async {
        await #expect(processExitsWith: .success) {
            _ = trainingStep(Net(), 0)  // what is made once
            let net = Net()
            let start = StoragePool.live.load(ordering: .relaxed)
            for step in 0..<3 { _ = trainingStep(net, step) }
            // The parameters' new values replace the old ones.
            #expect(StoragePool.live.load(ordering: .relaxed) == start)
            do {
                let loss = net.loss(1)  // a tape that nobody walks
                #expect(loss.isRecorded)
                #expect(StoragePool.live.load(ordering: .relaxed) > start)
            }
            #expect(StoragePool.live.load(ordering: .relaxed) == start)
            do {
                let loss = net.loss(1)
                _ = gradients(of: loss, for: net.parameters())
                // The walk frees the tape while the loss is still held.
                #expect(StoragePool.live.load(ordering: .relaxed) == start + 1)
            }
        }
    }

    @Test func aThousandStepsDoNotGrow() async {
        await #expect(processExitsWith: .success) {
            let net = Net()
            var counts: [Int] = []
            var losses: [Float] = []
            for step in 0..<1000 {
                losses.append(trainingStep(net, step))
                counts.append(StoragePool.live.load(ordering: .relaxed))
            }
            #expect(Set(counts.dropFirst()).count == 1, "\(counts.prefix(5)) … \(counts.suffix(5))")
            let first = losses.prefix(50).reduce(0, +)
            let last = losses.suffix(50).reduce(0, +)
            #expect(last < 0.5 * first)
        }
    }
}

/// Runs `body` on a thread with a stack of 512 KiB.
private func onASmallStack(_ body: @escaping @Sendable () -> Void) {
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        body()
        done.signal()
    }
    thread.stackSize = 512 << 10
    thread.start()
    done.wait()
}

/// A small model with every kind of operator that keeps something for the walk back.
private final class Net: Module {
    let words = Embedding(20, 12)
    let hidden = Linear(12, 12, initialization: .normal(standardDeviation: 0.3))
    let norm = LayerNorm(12)
    let output = Embedding(20, 12)
    let dropout = Dropout(0.1)

    override init() {
        super.init()
        var generator = SeededGenerator(seed: 1)
        initialize(using: &generator)
    }

    func loss(_ step: Int) -> Tensor {
        let ids = (0..<9).map { Int32(($0 + step % 3) % 20) }
        let segments = SegmentMap(selfAttention: [0, 4, 9])
        let x = words(ids)
        let y = hidden(x, activation: .gelu)
        let z = Tensor.attention(y, y, x, segments: segments, heads: 3, scale: 0.5)
        let states = norm(z, residual: x, dropout: dropout)
        let projection = VocabularyProjection(weight: output.weight.tensor)
        let plain = projection.logProbabilities(states, targets: ids, includingTotal: true).target
        let priors = states.slice(0..<3).sum(axis: 1).reshaped([1, 3]).logSoftmax()
        let marginal = projection.marginalLogProbabilities(
            states.rows([0, 1, 2]), priors: priors, targets: [ids[0]])
        return -(plain.sum() + marginal.target.sum())
    }
}

/// One step of plain gradient descent, changing parameters in place.
private func trainingStep(_ net: Net, _ step: Int) -> Float {
    let context = ForwardContext(isTraining: true, seed: 3, step: step)
    return ForwardContext.$scoped.withValue(context) {
        let loss = net.loss(step)
        let found = gradients(of: loss, for: net.parameters())
        for parameter in net.parameters() {
            guard let gradient = found[parameter] else { continue }
            parameter.update { value in
                for index in 0..<gradient.count { value[index] -= 0.02 * gradient.pointer[index] }
            }
        }
        return loss.item()
    }
}
