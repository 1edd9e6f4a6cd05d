import Testing

@testable import RAGKit

@Suite struct T5GeneratorTests {
    private static let contexts = TokenBatch([
        [5, 7, 11, 5], [22], [2, 3, 1, 19, 20, 21, 4, 4, 8, 9, 10, 12],
    ])
    private static let inputs = TokenBatch([[2, 0, 6, 8], [2, 9], [2, 12, 13, 14, 15]])
    private static let attended = [[0], [2, 1], [1]]

    /// The two families: v1.0 is tied with ReLU, v1.1 neither.
    private static let families = [true, false]

    private static func model(
        isOld: Bool = true, _ change: (inout T5Configuration) -> Void = { _ in }
    )
        -> T5Generator
    {
        var config = TinyModels.t5
        config.tieWordEmbeddings = isOld
        (config.denseActFn, config.isGatedAct) = isOld ? (.relu, false) : (.geluTanh, true)
        change(&config)
        let model = T5Generator(configuration: config)
        model.randomize(seed: 6)
        return model
    }

    private static func states(_ model: T5Generator) -> Tensor {
        model.decode(inputs, model.encode(contexts), attending: attended)
    }

    @Test func namesAreTheCheckpoints() {
        let old = Self.model()
        let names = Set(old.allNames().map(\.name))
        let stacks = [("encoder", 2, "1"), ("decoder", 2, "2")]
        var expected: Set = ["shared.weight", "lm_head.weight"]
        for (stack, layers, last) in stacks {
            expected.formUnion([
                "\(stack).embed_tokens.weight", "\(stack).final_layer_norm.weight",
                "\(stack).block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            ])
            for block in (0..<layers).map({ "\(stack).block.\($0).layer." }) {
                var attentions = [("0", "SelfAttention")]
                if stack == "decoder" { attentions.append(("1", "EncDecAttention")) }
                for (layer, name) in attentions {
                    expected.formUnion("qkvo".map { "\(block)\(layer).\(name).\($0).weight" })
                    expected.insert("\(block)\(layer).layer_norm.weight")
                }
                expected.formUnion([
                    "\(block)\(last).DenseReluDense.wi.weight",
                    "\(block)\(last).DenseReluDense.wo.weight", "\(block)\(last).layer_norm.weight",
                ])
            }
        }
        #expect(names == expected)
        let shared = old.allNames().filter { $0.parameter === old.shared.weight }.map(\.name)
        #expect(
            shared == [
                "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                "lm_head.weight",
            ])
        let new = Set(Self.model(isOld: false).allNames().map(\.name))
        #expect(new.subtracting(names).count == 8 && names.subtracting(new).count == 4)
        #expect(new.contains("decoder.block.1.layer.2.DenseReluDense.wi_0.weight"))
        #expect(new.contains("encoder.block.1.layer.1.DenseReluDense.wi_1.weight"))
        #expect(Self.model(isOld: false).namedParameters().map(\.name).last == "lm_head.weight")
    }

    @Test(arguments: families)
    func matchesThePaper(isOld: Bool) {
        let model = Self.model(isOld: isOld)
        let naive = NaiveT5(model)
        let memory = naive.encoder(Self.contexts)
        expectClose(model.encode(Self.contexts).hidden, memory)
        let states = naive.decoder(
            Self.inputs, memory: memory, memoryOffsets: Self.contexts.offsets,
            attended: Self.attended)
        expectClose(Self.states(model), states)
        expectClose(model.projection.logits(Self.states(model)), naive.logits(states))
    }

    /// The gradient of each parameter along a random direction, against small steps of the plain
    /// loops in Double.
    @Test(arguments: families)
    func gradientsAreThePapers(isOld: Bool) throws {
        let model = Self.model(isOld: isOld)
        var generator = SeededGenerator(seed: 21)
        let cotangent = Tensor.randomDirection([11, 23], using: &generator)
        let output = model.projection.logits(Self.states(model))
        let found = gradients(of: (output * cotangent).sum(), for: model.parameters())
        let naive = NaiveT5(model)
        for (name, parameter) in model.namedParameters() {
            let names = model.allNames().filter { $0.parameter === parameter }.map(\.name)
            let direction = Tensor.randomDirection(parameter.shape, using: &generator)
            func weighed(_ step: Double) -> Double {
                let moved = naive.moved(names, along: direction.doubles, by: step)
                let states = moved.decoder(
                    Self.inputs, memory: moved.encoder(Self.contexts),
                    memoryOffsets: Self.contexts.offsets, attended: Self.attended)
                return Naive.dot(moved.logits(states), cotangent.doubles)
            }
            let gradient = try #require(found[parameter])
            let numeric = (weighed(1e-5) - weighed(-1e-5)) / 2e-5
            #expect(
                abs(dot(gradient, direction) - numeric) < 1e-4 * gradient.norm,
                "\(name): \(dot(gradient, direction)), steps say \(numeric)")
        }
    }

    @Test(arguments: families)
    func everyParameterIsReached(isOld: Bool) {
        // The derivative of ReLU jumps, which small steps see: the smooth form stands in.
        let model = Self.model(isOld: isOld) { $0.denseActFn = .geluTanh }
        func buckets(_ distances: ClosedRange<Int>, _ bias: T5RelativeBias) -> Set<Int> {
            Set(distances.map { bias.buckets($0) })
        }
        let table = ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        var used = [
            "encoder" + table: buckets(-11...11, model.encoder.relativeBias),
            "decoder" + table: buckets(-4...0, model.decoder.relativeBias),
        ]
        if !isOld {  // the padding's row, too, gets the gradient of its look-ups
            used["shared.weight"] = Set((Self.contexts.ids + Self.inputs.ids).map { Int($0) })
        }
        // Norms and the tied head bend more than such steps see; `gradientsAreThePapers` is strict.
        expectEveryParameterReached(
            in: model, isKeyBias: { _ in false }, usedRows: used, tolerance: 0.05
        ) {
            model.projection.logits(Self.states(model))
        }
    }

    /// Initial values have the spread that the reference gives them.
    @Test(arguments: families)
    func initialization(isOld: Bool) {
        var config = T5Configuration()
        (config.vocabSize, config.dModel, config.dKV, config.dFF) = (300, 64, 24, 200)
        (config.numLayers, config.numDecoderLayers, config.numHeads) = (1, 2, 5)
        (config.initializerFactor, config.tieWordEmbeddings) = (0.5, isOld)
        config.isGatedAct = !isOld
        let model = T5Generator(configuration: config)
        var generator = SeededGenerator(seed: 8)
        model.initialize(using: &generator)
        for (name, parameter) in model.namedParameters() {
            let values = parameter.value.doubles
            if name.hasSuffix("norm.weight") {
                #expect(values.allSatisfy { $0 == 0.5 }, "\(name)")
                continue
            }
            let part = name.split(separator: ".").dropLast().last.map(String.init) ?? ""
            let variance: Double =
                switch part {
                case "shared", "lm_head": 1
                case "q": 1 / (64.0 * 24)
                case "k", "v", "wi", "wi_0", "wi_1", "relative_attention_bias": 1 / 64.0
                case "o": 1 / (5 * 24.0)
                case "wo": 1 / 200.0
                default: .nan
                }
            let found = (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
            // Of n normal numbers the root mean square errs by 1/√(2n): six times that is never.
            let slack = 6 / (2 * Double(values.count)).squareRoot()
            expectClose(found, 0.5 * variance.squareRoot(), relative: slack, name)
        }
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

    @Test func emptyBatchesAndSequences() {
        let model = Self.model()
        #expect(model.encode(TokenBatch()).hidden.shape == [0, 12])
        let memory = model.encode(TokenBatch([[], [5, 6]]))
        expectClose(memory.hidden, model.encode(TokenBatch([[5, 6]])).hidden)
        #expect(model.decode(TokenBatch(), memory, attending: []).shape == [0, 12])
    }

    /// Later tokens do not change earlier states.
    @Test func decodingLooksBackOnly() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        let long = model.decode(TokenBatch([[2, 12, 13, 14]]), memory, attending: [[0]])
        let short = model.decode(TokenBatch([[2, 12]]), memory, attending: [[0]])
        expectClose(long.slice(0..<2), short)
    }

    @Test(arguments: families)
    func stepsGiveTheStatesOfOneGo(isOld: Bool) {
        let model = Self.model(isOld: isOld)
        // Longer than the distance from which on all are one to the bias.
        let length = 19
        var generator = SeededGenerator(seed: 4)
        let rows = (0..<4).map { _ in
            (0..<length).map { _ in Int32.random(in: 0..<23, using: &generator) }
        }
        let attended = [[0], [2, 1], [1], [0]]
        let memory = model.encode(Self.contexts)
        let whole = model.decode(TokenBatch(rows), memory, attending: attended)
        for capacity in [length, 30] {
            var cache = model.startDecoding(memory, attending: attended, maxLength: capacity)
            #expect(cache.rowCount == 4)
            for position in 0..<length {
                #expect(cache.length == position)
                let states = model.step(rows.map { $0[position] }, &cache)
                let places = (0..<4).map { Int32($0 * length + position) }
                expectClose(states, whole.rows(places), "position \(position):")
            }
        }
    }

    @Test func nextLogProbabilitiesAreThoseOfTheScaledLogits() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        var cache = model.startDecoding(memory, attending: [[0], [1]], maxLength: 3)
        let next = model.nextLogProbabilities([2, 2], &cache)
        let naive = NaiveT5(model)
        let states = naive.decoder(
            TokenBatch([[2], [2]]), memory: memory.hidden.doubles,
            memoryOffsets: memory.offsets, attended: [[0], [1]])
        expectClose(next, Naive.rows(naive.logits(states), width: 23).flatMap(Naive.logSoftmax))
    }

    /// Beams of one question change places, or one continues twice.
    @Test func reorderedRowsContinueTheirParents() {
        let model = Self.model()
        let memory = model.encode(Self.contexts)
        let attended = [[0], [0], [0], [2, 1], [2, 1]]
        var cache = model.startDecoding(memory, attending: attended, maxLength: 6)
        var rows: [[Int32]] = [[2, 5], [2, 6], [2, 7], [2, 8], [2, 9]]
        _ = model.step(rows.map { $0[0] }, &cache)
        _ = model.step(rows.map { $0[1] }, &cache)
        for (parents, tokens) in [
            ([2, 0, 2, 4, 4], [10, 11, 12, 13, 14]), ([1, 1, 0, 3, 4], [15, 16, 17, 18, 19]),
        ] as [([Int32], [Int32])] {
            cache.reorder(parents)
            rows = zip(parents, tokens).map { rows[Int($0)] + [$1] }
            let states = model.step(tokens, &cache)
            let whole = model.decode(TokenBatch(rows), memory, attending: attended)
            let length = rows[0].count
            expectClose(states, whole.rows((1...5).map { Int32($0 * length - 1) }))
        }
    }

    /// T5 drops embeddings, probabilities, inner states, what each block adds, and the last states.
    @Test func dropoutIsWhereTheReferenceHasIt() throws {
        let model = Self.model(isOld: false)
        func dropouts(_ module: Module) -> [Dropout] {
            module.children.flatMap { ($0.module as? Dropout).map { [$0] } ?? dropouts($0.module) }
        }
        let all = dropouts(model)
        // At both ends of both stacks; in each block one, and one of probabilities or inner states.
        #expect(all.count == 2 * 2 + 2 * (2 * 2 + 2 * 3))
        #expect(Set(all.map(\.path)).count == all.count, "each has its own random stream")
        #expect(all.allSatisfy { $0.rate == model.configuration.dropoutRate })
    }

    @Test func dropoutFollowsTheSeedInEveryPlace() {
        func states(_ model: T5Generator, _ seed: UInt64) -> [Float] {
            let context = ForwardContext(isTraining: true, seed: seed)
            return ForwardContext.$scoped.withValue(context) { Self.states(model).elements }
        }
        let model = Self.model()
        #expect(states(model, 1) == states(model, 1) && states(model, 1) != states(model, 2))
        #expect(states(model, 1) != Self.states(model).elements)
        let none = Self.model { $0.dropoutRate = 0 }
        #expect(states(none, 1) == Self.states(none).elements)
    }

    @Test func snapshotsShareUntilTheyChange() {
        let model = Self.model(isOld: false)
        let copy = model.snapshot()
        #expect(Self.states(copy).elements == Self.states(model).elements)
        copy.decoder.relativeBias.weight.update(.zeros([8, 3]))
        #expect(Self.states(copy).elements != Self.states(model).elements)
    }

    @Test func misuseStops() async {
        await #expect(processExitsWith: .failure) {
            let model = Self.model()
            var cache = model.startDecoding(
                model.encode(Self.contexts), attending: [[0]], maxLength: 1)
            _ = model.step([2], &cache)
            _ = model.step([2], &cache)
        }
    }
}
