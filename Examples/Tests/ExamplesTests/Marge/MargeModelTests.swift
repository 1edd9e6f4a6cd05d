import RAGKit
import Testing

@testable import Marge

@Suite struct MargeModelTests {
    static let documents: [[Int32]] = [[5, 9, 2], [7, 7, 3, 4, 2], [8, 2], [6, 5, 2]]
    static let targets: [[Int32]] = [[5, 9, 9, 2], [3, 8, 2]]
    static let inputs = TokenBatch([[20, 5, 9, 9], [21, 3, 8]])
    static let attended = [[0, 2, 3], [1, 3]]

    static func model(relevanceLayers: Int = 1, scale: Float = 1) -> MargeModel {
        var configuration = MargeConfiguration(vocabularySize: 20)
        configuration.width = 8
        configuration.heads = 2
        configuration.feedForward = 12
        configuration.decoderFeedForward = 16
        configuration.encoderLayers = 3
        configuration.relevanceLayers = relevanceLayers
        configuration.maxTokens = 8
        configuration.relevanceScale = scale
        configuration.initStd = 0.3
        let model = MargeModel(configuration)
        var random = SeededGenerator(seed: 4)
        model.initialize(using: &random)
        // Norms and biases too have values that show.
        for (name, parameter) in model.namedParameters() where name.hasSuffix("bias") {
            parameter.update(
                .randomNormal(parameter.shape, standardDeviation: 0.3, using: &random))
        }
        return model
    }

    /// The decoder's states with relevance as the model computes it.
    static func states(_ model: MargeModel) -> Tensor {
        let read = model.encode(documents)
        let weights = relevance(model.vectors(of: targets), read.vectors, attending: attended)
        return model.decode(inputs, read.memory, attending: attended, relevance: weights)
    }

    @Test func scaleZeroIsPlainAttentionToAllEvidence() {
        let model = Self.model(scale: 0)
        let read = model.encode(Self.documents)
        let plain = model.decode(
            Self.inputs, read.memory, attending: Self.attended, relevance: nil)
        expectClose(Self.states(model), plain)
        // And plain attention to several documents is attention to one made of them.
        for (target, documents) in Self.attended.enumerated() {
            let parts = documents.map {
                read.memory.hidden.slice(read.memory.offsets[$0]..<read.memory.offsets[$0 + 1])
            }
            let whole = Tensor.concatenated(parts)
            let alone = model.decode(
                TokenBatch([Array(Self.inputs[target])]),
                EncoderMemory(hidden: whole, offsets: [0, whole.dim(0)]), attending: [[0]],
                relevance: nil)
            let rows = Self.inputs.offsets[target]..<Self.inputs.offsets[target + 1]
            expectClose(plain.slice(rows), alone)
        }
        // With a scale, relevance changes what is read.
        let weighed = Self.states(Self.model(scale: 3))
        #expect((weighed - plain).magnitude().elements.contains { $0 > 1e-3 })
    }

    @Test(arguments: 1...3)
    func relevanceIsTheCosineAfterTheFirstLayers(layers: Int) {
        let model = Self.model(relevanceLayers: layers)
        let vectors = model.vectors(of: Self.documents)
        expectClose(model.encode(Self.documents).vectors, vectors)
        let rows = (0..<vectors.dim(0)).map { vectors.slice($0..<$0 + 1) }
        func cosine(_ a: Int, _ b: Int) -> Float {
            let product = (rows[a] * rows[b]).sum() / rows[a].squared().sum().squareRoot()
            return (product / rows[b].squared().sum().squareRoot()).item()
        }
        expectClose(
            relevance(vectors, vectors, attending: [[0, 1], [], [2], [0]]),
            Tensor([1, cosine(0, 1), 1, cosine(3, 0)], shape: [4]))
        // Another depth gives other vectors, and later layers do not matter.
        let other = Self.model(relevanceLayers: layers % 3 + 1).vectors(of: Self.documents)
        #expect((other - vectors).magnitude().elements.contains { $0 > 1e-3 })
        for (name, parameter) in model.namedParameters()
        where (layers..<3).contains(where: { name.hasPrefix("encoder.\($0).") }) {
            parameter.update(parameter.value * 2)
        }
        expectClose(model.vectors(of: Self.documents), vectors)
    }

    @Test func everyParameterIsReached() {
        let model = Self.model()
        // The token before each document stays zero.
        expectGradients(
            of: { model.projection.logits(Self.states(model)) }, in: model,
            constantRow: ("tokens.weight", 22)
        ) { $0.hasSuffix("k_proj.bias") }
        #expect(model.tokens.weight.value.slice(22..<23).elements.allSatisfy { $0 == 0 })
    }

    /// What reaches the encoder by relevance alone: the evidence that is read is constant.
    @Test(arguments: [1, 2])
    func theGradientOfRelevanceIsTheSlope(layers: Int) {
        let model = Self.model(relevanceLayers: layers, scale: 2)
        let memory = withoutGradients { model.encode(Self.documents).memory }
        // The token table feeds the decoder as well.
        model.freeze { !$0.hasPrefix("encoder") || $0.hasPrefix("encoder_norm") }
        model.freeze { name in (layers..<3).contains { name.hasPrefix("encoder.\($0).") } }
        func output() -> Tensor {
            let weights = relevance(
                model.vectors(of: Self.targets), model.vectors(of: Self.documents),
                attending: Self.attended)
            return model.decode(
                Self.inputs, memory, attending: Self.attended, relevance: weights)
        }
        expectGradients(of: output, in: model) { $0.hasSuffix("k_proj.bias") }
    }

    @Test func theLossIsThatOfEachTokenGivenItsEvidence() {
        let model = Self.model()
        let batches = [
            Reconstruction(
                targets: [
                    MargeDocument(ids: [5, 9, 2], shard: 0, language: 1),
                    MargeDocument(ids: [4, 2], shard: 0, language: 0),
                ], evidence: [[7, 3, 2], [8, 2]]),
            Reconstruction(
                targets: [MargeDocument(ids: [9, 9, 2], shard: 1, language: 0)],
                evidence: [[6, 2]]),
        ]
        let loss = model.loss(batches)
        #expect(loss.weight == 8)
        var sum: Float = 0
        for batch in batches {
            let read = model.encode(batch.evidence)
            let all = [Array(batch.evidence.indices)]
            for target in batch.targets {
                let own = model.vectors(of: [target.ids])
                let labels = target.ids
                let states = model.decode(
                    TokenBatch([[Int32(20 + target.language)] + labels.dropLast()]), read.memory,
                    attending: all, relevance: relevance(own, read.vectors, attending: all))
                let rows = model.projection.logits(states).logSoftmax()
                sum -= rows.elements(at: labels).sum().item()
            }
        }
        #expect(abs(loss.sum.item() - sum) < 1e-4)
        for reading in [MargeModel.Reading.unweighted, .nothing] {
            #expect(abs(model.loss(batches, reading: reading).sum.item() - sum) > 1e-3)
        }
    }
}
