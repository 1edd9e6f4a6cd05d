import Testing

@testable import RAGKit

@Suite struct BertModelTests {
    private static func model() -> BertModel {
        let model = BertModel(TinyModels.bert)
        model.randomize(seed: 3)
        return model
    }

    @Test func namesAreTheCheckpoints() {
        let names = Self.model().allNames().map(\.name)
        #expect(
            names.prefix(5) == [
                "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight",
                "embeddings.token_type_embeddings.weight", "embeddings.LayerNorm.weight",
                "embeddings.LayerNorm.bias",
            ])
        let layer = [
            "attention.self.query", "attention.self.key", "attention.self.value",
            "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
            "output.dense", "output.LayerNorm",
        ]
        let expected = (0..<2).flatMap { index in
            layer.flatMap { part in
                ["weight", "bias"].map { "encoder.layer.\(index).\(part).\($0)" }
            }
        }
        #expect(Array(names.dropFirst(5)) == expected)
    }

    @Test func everyParameterIsReached() {
        let model = Self.model()
        let types: [[Int32]] = TinyModels.batch.sequences.map { $0.indices.map { Int32($0 % 2) } }
        let batch = TokenBatch(TinyModels.batch.sequences, typeIDs: types)
        // Token 0 is the padding, whose row gets no gradient from look-ups.
        let words = Set(batch.ids.map { Int($0) }).subtracting([0])
        expectEveryParameterReached(
            in: model, isKeyBias: { $0.hasSuffix("self.key.bias") },
            usedRows: [
                "embeddings.word_embeddings.weight": words,
                "embeddings.position_embeddings.weight": Set(0..<7),
                "embeddings.token_type_embeddings.weight": [0, 1],
            ]
        ) { model(batch) }
    }

    @Test func matchesThePaper() {
        let model = Self.model()
        let types: [[Int32]] = TinyModels.batch.sequences.map { $0.indices.map { Int32($0 % 2) } }
        let naive = NaiveTransformer(model, width: 12)
        for batch in [TinyModels.batch, TokenBatch(TinyModels.batch.sequences, typeIDs: types)] {
            expectClose(model(batch), naive.bert(batch, model.configuration))
        }
    }

    @Test func raggedEqualsAlone() {
        let model = Self.model()
        expectRaggedEqualsAlone(TinyModels.batch) { model($0) }
        let gaps = TokenBatch([[], [5, 6], [], []])
        #expect(model(gaps).shape == [2, 12])
        expectClose(model(gaps), model(TokenBatch([[5, 6]])))
        #expect(model(TokenBatch()).shape == [0, 12])
    }

    @Test func typesAreAdded() {
        let model = Self.model()
        let plain = model(TokenBatch([[5, 6]]))
        expectIdentical(model(TokenBatch([[5, 6]], typeIDs: [[0, 0]])), plain)
        #expect(model(TokenBatch([[5, 6]], typeIDs: [[0, 1]])).elements != plain.elements)
    }

    @Test func fewerLayers() {
        let model = Self.model()
        let batch = TinyModels.batch
        expectIdentical(model(batch, layerCount: 0), model.embeddings(batch))
        let one = model.layers[0](model.embeddings(batch), SegmentMap(selfAttention: batch))
        expectIdentical(model(batch, layerCount: 1), one)
        #expect(model(batch).elements != one.elements)
    }

    /// Rows of several sequences, none of one of them, out of order and twice: the states are those of
    /// all rows, and so are the gradients of all parameters, also from activations computed again.
    @Test(arguments: [false, true])
    func statesOfSomeRows(checkpointing: Bool) {
        let model = Self.model()
        let batch = TinyModels.batch
        let (begin, end) = (Int32(batch.offsets[2]), Int32(batch.totalTokens))
        ForwardContext.$scoped.withValue(.init(checkpointsActivations: checkpointing)) {
            let many = Array(begin..<end).reversed() + [0]
            for rows in [[0, 2, begin], [begin + 1, 0, end - 1, begin + 1], many, []] {
                let (some, all) = (model(batch, at: rows), model(batch).rows(rows))
                expectClose(some, all)
                let weights = Tensor.counting(all.shape)
                let found = gradients(of: (some * weights).sum(), for: model.parameters())
                let expected = gradients(of: (all * weights).sum(), for: model.parameters())
                // A key's bias moves all scores of a row alike: its gradient is rounding.
                for (name, parameter) in model.namedParameters()
                where !rows.isEmpty && !name.hasSuffix("key.bias") {
                    guard let one = found[parameter], let other = expected[parameter] else {
                        Issue.record("\(name) has no gradient")
                        continue
                    }
                    expectClose(one, other, "\(name)")
                }
            }
        }
        #expect(model(TokenBatch(), at: []).shape == [0, 12])
    }

    /// The last layer's products have as many rows as are asked for. With few of them no keys and
    /// values are made, but for each of three heads the weights meet the queries.
    @Test(arguments: [([0, 3] as [Int32], 2 * 4), (Array(5..<12), 7 * 7)])
    func otherRowsCostLittle(rows: [Int32], pairs: Int) {
        let profile = Profile()
        let model = Self.model()
        let batch = TinyModels.batch
        ForwardContext.$scoped.withValue(.init(profile: profile)) { _ = model(batch, at: rows) }
        let (width, inner) = (TinyModels.bert.hiddenSize, TinyModels.bert.intermediateSize)
        func products(_ rows: Int) -> Int { 4 * rows * width * (width + inner) }
        let first =
            products(batch.totalTokens) + 4 * batch.totalTokens * width * width
            + batch.lengths.reduce(0) { $0 + 4 * $1 * $1 * width }
        let isFew = rows.count == 2
        let last =
            products(rows.count) + 4 * (isFew ? rows.count : batch.totalTokens) * width * width
            + 4 * pairs * width * (isFew ? 3 : 1)
        let counted = profile.report().rows.reduce(0) { $0 + $1.operations }
        #expect(counted == Double(first + last))
    }

    /// With dropout a query's probabilities do not add up to 1, and the values' bias counts as often as
    /// they do: as a state counts that all keys share.
    @Test func dropoutOfFewQueries() {
        let model = Self.model()
        let attention = model.layers[1].attention
        let (width, batch) = (12, TinyModels.batch)
        let segments = SegmentMap(selfAttention: batch.offsets, at: [0, 5, 6])
        let same = Tensor.counting([1, width]).broadcast(to: [batch.totalTokens, width])
        let weight = attention.value.weight.value.copied()
        func found(weight: Tensor, bias: Tensor) -> Tensor {
            attention.value.weight.update(weight)
            attention.value.bias?.update(bias)
            let context = ForwardContext(isTraining: true, seed: 4)
            return ForwardContext.$scoped.withValue(context) {
                attention(same.slice(0..<3), same, segments).detached
            }
        }
        let kept = found(weight: .zeros([width, width]), bias: .full([width], 1))
        let value = same.slice(0..<1).linear(weight).detached
        expectClose(found(weight: weight, bias: .zeros([width])), kept * value)
        let sums = Set(kept.elements)
        #expect(sums.count > 3 && sums.allSatisfy { $0 >= 0 }, "\(sums)")
        let bias = Tensor.counting([width])
        expectClose(found(weight: weight, bias: bias), kept * (value + bias))
    }

    /// The gradients with dropout are what small steps say.
    @Test func gradientsOfFewQueries() {
        let attention = Self.model().layers[1].attention
        var generator = SeededGenerator(seed: 8)
        let batch = TinyModels.batch
        let asking = Tensor.random([3, 12], using: &generator)
        let hidden = Tensor.random([batch.totalTokens, 12], using: &generator)
        let segments = SegmentMap(selfAttention: batch.offsets, at: [0, 5, 6])
        for isTraining in [false, true] {
            expectGradient(
                of: { inputs in
                    let context = ForwardContext(isTraining: isTraining, seed: 4)
                    return ForwardContext.$scoped.withValue(context) {
                        attention(inputs[0], inputs[1], segments)
                    }
                }, at: [asking, hidden], seed: 9)
            expectEveryParameterReached(in: attention, isKeyBias: { $0 == "key.bias" }) {
                let context = ForwardContext(isTraining: isTraining, seed: 4)
                return ForwardContext.$scoped.withValue(context) {
                    attention(asking, hidden, segments)
                }
            }
        }
    }

    @Test func pooledStates() async {
        let model = Self.model()
        let batch = TokenBatch([[5, 6, 7], [8], [9, 4]])
        let states = model(batch)
        expectClose(model(batch, pooling: .cls), states.rows([0, 3, 4]))
        expectClose(model(batch, pooling: .mean), states.segmentMeans(offsets: [0, 3, 4, 6]))
        for pooling in [Pooling.cls, .mean] {
            #expect(model(TokenBatch(), pooling: pooling).shape == [0, 12])
        }
        await #expect(processExitsWith: .failure) {
            _ = Self.model()(TokenBatch([[5], []]), pooling: .mean)
        }
    }

    @Test func rowsThatAreNotThereStop() async {
        await #expect(processExitsWith: .failure) { _ = Self.model()(TokenBatch([[3]]), at: [1]) }
    }

    @Test func dropoutFollowsTheSeed() {
        let model = Self.model()
        func states(_ seed: UInt64) -> [Float] {
            let context = ForwardContext(isTraining: true, seed: seed)
            return ForwardContext.$scoped.withValue(context) { model(TinyModels.batch).elements }
        }
        #expect(states(1) == states(1) && states(1) != states(2))
        #expect(states(1) != model(TinyModels.batch).elements)
    }
}
