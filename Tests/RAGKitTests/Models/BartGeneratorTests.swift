import Testing

@testable import RAGKit

@Suite struct BartGeneratorTests {
    private static let contexts = TokenBatch([[5, 7, 11, 5], [22], [2, 3, 1, 19, 20, 21, 4]])
    private static let inputs = TokenBatch([[2, 0, 6, 8], [2, 9], [2, 12, 13, 14, 15]])
    private static let attended = [[0], [2, 1], [1]]

    private static func model(tied: Bool = true, scaled: Bool = false) -> BartGenerator {
        var config = TinyModels.bart
        config.tieWordEmbeddings = tied
        config.scaleEmbedding = scaled
        let model = BartGenerator(configuration: config)
        model.randomize(seed: 6)
        return model
    }

    private static func states(_ model: BartGenerator) -> Tensor {
        model.decode(inputs, model.encode(contexts), attending: attended)
    }

    @Test func namesAreTheCheckpoints() {
        let tied = Self.model()
        let names = tied.allNames().map(\.name)
        #expect(names.first == "final_logits_bias" && names.last == "lm_head.weight")
        for name in [
            "model.shared.weight", "model.encoder.embed_tokens.weight",
            "model.encoder.embed_positions.weight", "model.encoder.layernorm_embedding.bias",
            "model.encoder.layers.1.self_attn.k_proj.bias", "model.encoder.layers.0.fc1.weight",
            "model.decoder.embed_tokens.weight",
            "model.decoder.layers.0.encoder_attn.out_proj.bias",
            "model.decoder.layers.1.encoder_attn_layer_norm.weight",
            "model.decoder.layers.1.final_layer_norm.bias",
        ] { #expect(names.contains(name), "\(name)") }
        let shared = tied.allNames().filter { $0.parameter === tied.shared.weight }.map(\.name)
        #expect(
            shared == [
                "model.shared.weight", "model.encoder.embed_tokens.weight",
                "model.decoder.embed_tokens.weight", "lm_head.weight",
            ])
        let untied = Self.model(tied: false)
        #expect(untied.namedParameters().map(\.name).last == "lm_head.weight")
        #expect(untied.parameters().count == tied.parameters().count + 1)
        #expect(untied.allNames().map(\.name) == names)
        #expect(!tied.namedParameters().contains { $0.name == "final_logits_bias" })
    }

    @Test(arguments: [(true, false), (false, false), (true, true)])
    func matchesThePaper(tied: Bool, scaled: Bool) {
        let model = Self.model(tied: tied, scaled: scaled)
        let naive = NaiveTransformer(model, width: 12)
        let memory = naive.bartEncoder(Self.contexts, model.configuration)
        expectClose(model.encode(Self.contexts).hidden, memory)
        expectClose(
            Self.states(model),
            naive.bartDecoder(
                Self.inputs, memory: memory, memoryOffsets: Self.contexts.offsets,
                attended: Self.attended, model.configuration))
    }

    @Test(arguments: [(true, false), (false, false), (true, true)])
    func everyParameterIsReached(tied: Bool, scaled: Bool) {
        let model = Self.model(tied: tied, scaled: scaled)
        var used = [
            "model.encoder.embed_positions.weight": Set(2..<9),
            "model.decoder.embed_positions.weight": Set(2..<7),
        ]
        if !tied {
            // Token 1 is the padding, whose row gets no gradient from look-ups.
            let ids = Set((Self.contexts.ids + Self.inputs.ids).map { Int($0) })
            used["model.shared.weight"] = ids.subtracting([1])
        }
        expectEveryParameterReached(
            in: model, isKeyBias: { $0.hasSuffix("k_proj.bias") }, usedRows: used
        ) { model.projection.logits(Self.states(model)) }
    }

    @Test func scaledEmbeddingsAreMultipliedByTheRootOfTheWidth() {
        let (scaled, plain) = (Self.model(tied: false, scaled: true), Self.model(tied: false))
        plain.shared.weight.update(scaled.shared.weight.value * Float(12).squareRoot())
        expectClose(Self.states(scaled), Self.states(plain))
    }

    @Test func logitsHaveTheirBias() {
        let model = Self.model()
        let states = Self.states(model)
        let product = Naive.matmul(
            states.doubles, model.shared.weight.value.doubles, m: 11, k: 12, n: 23,
            otherTransposed: true)
        let bias = model.logitsBias.value.doubles
        expectClose(
            model.projection.logits(states), product.indices.map { product[$0] + bias[$0 % 23] })
    }

    @Test func raggedEqualsAlone() {
        let model = Self.model()
        expectRaggedEqualsAlone(Self.contexts) { model.encode($0).hidden }
        let together = Self.states(model)
        for index in 0..<Self.inputs.count {
            let contexts = TokenBatch(Self.attended[index].map { Array(Self.contexts[$0]) })
            let alone = model.decode(
                TokenBatch([Array(Self.inputs[index])]), model.encode(contexts),
                attending: [Array(0..<contexts.count)])
            let range = Self.inputs.offsets[index]..<Self.inputs.offsets[index + 1]
            expectClose(together.slice(range), alone, "row \(index):")
        }
    }

    @Test func theOrderOfRowsDoesNotMatter() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        let together = model.decode(Self.inputs, memory, attending: Self.attended)
        let order = [2, 0, 1]
        let moved = TokenBatch(order.map { Array(Self.inputs[$0]) })
        let permuted = model.decode(moved, memory, attending: order.map { Self.attended[$0] })
        for (place, row) in order.enumerated() {
            expectClose(
                permuted.slice(moved.offsets[place]..<moved.offsets[place + 1]),
                together.slice(Self.inputs.offsets[row]..<Self.inputs.offsets[row + 1]))
        }
    }

    /// Later tokens do not change earlier states.
    @Test func decodingLooksBackOnly() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        let long = model.decode(TokenBatch([[2, 12, 13, 14]]), memory, attending: [[0]])
        let short = model.decode(TokenBatch([[2, 12]]), memory, attending: [[0]])
        expectClose(long.slice(0..<2), short)
    }

    @Test(arguments: [(true, false), (false, true)])
    func stepsGiveTheStatesOfOneGo(tied: Bool, scaled: Bool) {
        let model = Self.model(tied: tied, scaled: scaled)
        let rows: [[Int32]] = [
            [2, 0, 6, 8, 3], [2, 9, 9, 9, 9], [2, 12, 13, 14, 15], [2, 0, 6, 7, 1],
        ]
        let attended = [[0], [2, 1], [1], [0]]
        let memory = model.encode(Self.contexts)
        let whole = model.decode(TokenBatch(rows), memory, attending: attended)
        for capacity in [5, 9] {
            var cache = model.startDecoding(memory, attending: attended, maxLength: capacity)
            #expect(cache.rowCount == 4)
            for position in 0..<5 {
                #expect(cache.length == position)
                let states = model.step(rows.map { $0[position] }, &cache)
                let places = (0..<4).map { Int32($0 * 5 + position) }
                expectClose(states, whole.rows(places), "position \(position):")
            }
        }
    }

    /// A step writes one position, not the whole cache anew.
    @Test func stepsWriteInPlace() {
        let model = Self.model()
        var cache = model.startDecoding(
            model.encode(Self.contexts), attending: [[0], [1]], maxLength: 4)
        _ = model.step([2, 2], &cache)
        _ = model.step([5, 4], &cache)  // from here on the rows have two prefixes
        func places(_ cache: DecoderCache) -> [UnsafePointer<Float>] {
            (cache.firstLayer.layers + cache.otherLayers.layers)
                .flatMap { [$0.keys.pointer, $0.values.pointer] }
        }
        let addresses = places(cache)
        for token in [6, 7] as [Int32] { _ = model.step([token, 4], &cache) }
        #expect(places(cache) == addresses)
    }

    @Test func nextLogProbabilitiesAreThoseOfTheLogits() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        var cache = model.startDecoding(memory, attending: [[0], [1]], maxLength: 3)
        let next = model.nextLogProbabilities([2, 2], &cache)
        let states = model.decode(TokenBatch([[2], [2]]), memory, attending: [[0], [1]])
        expectClose(next, model.projection.logits(states).logSoftmax())
        expectClose(next.exp().sum(axis: 1), [1, 1])
    }

    /// Rows change places, continue twice, leave, and become more.
    @Test func reorderedRowsContinueTheirParents() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        var attended = [[0], [0], [0], [2, 1], [2, 1]]
        var cache = model.startDecoding(memory, attending: attended, maxLength: 8)
        var rows: [[Int32]] = [[2, 5], [2, 6], [2, 7], [2, 8], [2, 9]]
        _ = model.step(rows.map { $0[0] }, &cache)
        _ = model.step(rows.map { $0[1] }, &cache)
        for (parents, tokens) in [
            ([2, 0, 2, 4, 4], [10, 11, 12, 13, 14]), ([1, 1, 0, 3, 4], [15, 16, 17, 18, 19]),
            ([4, 2, 0], [20, 21, 22]), ([0, 2, 1, 1], [4, 5, 6, 7]),
        ] as [([Int32], [Int32])] {
            cache.reorder(parents)
            attended = parents.map { attended[Int($0)] }
            rows = zip(parents, tokens).map { rows[Int($0)] + [$1] }
            let states = model.step(tokens, &cache)
            let whole = model.decode(TokenBatch(rows), memory, attending: attended)
            let length = rows[0].count
            expectClose(states, whole.rows((1...Int32(rows.count)).map { $0 * Int32(length) - 1 }))
        }
    }

    /// A cache is a value: one copy can go on without the other.
    @Test func copiesOfACacheAreIndependent() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        var cache = model.startDecoding(memory, attending: [[0]], maxLength: 3)
        _ = model.step([2], &cache)
        var other = cache
        _ = model.step([9], &other)
        let first = model.step([5], &cache)
        _ = model.step([7], &other)
        let whole = model.decode(TokenBatch([[2, 5]]), memory, attending: [[0]])
        expectClose(first, whole.slice(1..<2))
        let second = model.step([6], &cache)
        let longer = model.decode(TokenBatch([[2, 5, 6]]), memory, attending: [[0]])
        expectClose(second, longer.slice(2..<3))
    }

    @Test func dropoutFollowsTheSeedInEveryBlock() {
        let model = Self.model()
        func states(_ seed: UInt64) -> [Float] {
            let context = ForwardContext(isTraining: true, seed: seed)
            return ForwardContext.$scoped.withValue(context) { Self.states(model).elements }
        }
        #expect(states(1) == states(1) && states(1) != states(2))
        #expect(states(1) != Self.states(model).elements)
    }

    @Test func misuseStops() async {
        await #expect(processExitsWith: .failure) {
            let model = Self.model()
            var cache = model.startDecoding(
                model.encode(Self.contexts), attending: [[0]], maxLength: 1)
            _ = model.step([2], &cache)
            _ = model.step([2], &cache)
        }
        await #expect(processExitsWith: .failure) {
            let model = Self.model()
            var cache = model.startDecoding(
                model.encode(Self.contexts), attending: [[0], [1]], maxLength: 2)
            cache.reorder([1, 2])
        }
    }
}
