import Testing

@testable import RAGKit

@Suite struct DPREncoderTests {
    private static func model(
        role: EncoderRole = .question, pooling: Pooling = .cls, projection: Int = 0,
        normalizes: Bool = false
    ) -> DPREncoder {
        var config = DPRConfiguration(role: role, bert: TinyModels.bert)
        config.pooling = pooling
        config.projectionDim = projection
        config.normalizes = normalizes
        let model = DPREncoder(configuration: config)
        model.randomize(seed: 5)
        return model
    }

    @Test(arguments: [EncoderRole.question, .context])
    func namesAreTheCheckpoints(role: EncoderRole) {
        let prefix = role == .question ? "question_encoder." : "ctx_encoder."
        let names = Self.model(role: role, projection: 5).allNames().map(\.name)
        #expect(names.allSatisfy { $0.hasPrefix(prefix) })
        #expect(names.first == prefix + "bert_model.embeddings.word_embeddings.weight")
        let projection = ["weight", "bias"].map { "\(prefix)encode_proj.\($0)" }
        #expect(Array(names.suffix(2)) == projection)
        #expect(Self.model(role: role).allNames().count == names.count - 2)
    }

    @Test(arguments: [Pooling.cls, .mean], [0, 5])
    func vectorsComeFromTheStates(pooling: Pooling, projection: Int) {
        for normalizes in [false, true] {
            let model = Self.model(pooling: pooling, projection: projection, normalizes: normalizes)
            let batch = TinyModels.batch
            let width = 12
            let states = Naive.rows(model.body.bert(batch).doubles, width: width)
            let pooled: [[Double]] = (0..<batch.count).map { index in
                let rows = states[batch.offsets[index]..<batch.offsets[index + 1]]
                guard pooling == .mean else { return states[batch.offsets[index]] }
                return (0..<width).map { column in
                    rows.reduce(0) { $0 + $1[column] } / Double(rows.count)
                }
            }
            let projected = pooled.map { row in
                guard let layer = model.body.projection else { return row }
                let product = Naive.matmul(
                    row, layer.weight.value.doubles, m: 1, k: width, n: projection,
                    otherTransposed: true)
                return zip(product, layer.bias?.value.doubles ?? []).map { $0 + $1 }
            }
            let expected = projected.flatMap { row in
                row.map { normalizes ? $0 / Naive.dot(row, row).squareRoot() : $0 }
            }
            #expect(model(batch).shape == [3, model.dimension])
            #expect(model.dimension == (projection > 0 ? projection : width))
            expectClose(model(batch), expected)
        }
    }

    @Test(arguments: [Pooling.cls, .mean], [0, 5])
    func everyParameterIsReached(pooling: Pooling, projection: Int) {
        for normalizes in [false, true] {
            let model = Self.model(pooling: pooling, projection: projection, normalizes: normalizes)
            let embeddings = "question_encoder.bert_model.embeddings."
            let words = Set(TinyModels.batch.ids.map { Int($0) }).subtracting([0])
            // DPR's token types are all 0, so the row of type 1 is never used.
            expectEveryParameterReached(
                in: model, isKeyBias: { $0.hasSuffix("self.key.bias") },
                usedRows: [
                    embeddings + "word_embeddings.weight": words,
                    embeddings + "position_embeddings.weight": Set(0..<7),
                    embeddings + "token_type_embeddings.weight": [0],
                ]
            ) { model(TinyModels.batch) }
        }
    }

    @Test func frozenParametersAreNot() {
        let model = Self.model(projection: 5)
        #expect(model.freeze { $0.contains("embeddings.") || $0.contains("layer.0.") } == 21)
        expectEveryParameterReached(in: model, isKeyBias: { $0.hasSuffix("self.key.bias") }) {
            model(TinyModels.batch)
        }
    }

    @Test func raggedEqualsAlone() {
        let model = Self.model(pooling: .mean, projection: 5, normalizes: true)
        let together = model(TinyModels.batch)
        for (index, sequence) in TinyModels.batch.sequences.enumerated() {
            expectClose(together.slice(index..<index + 1), model(TokenBatch([sequence])))
        }
        #expect(model(TokenBatch()).shape == [0, 5])
    }

    @Test func snapshotsKeepWhatTheyWere() {
        let model = Self.model(projection: 5)
        let snapshot = model.snapshot()
        let before = model(TinyModels.batch)
        expectIdentical(snapshot(TinyModels.batch), before)
        for parameter in model.parameters() { parameter.update { $0[0] += 0.5 } }
        expectIdentical(snapshot(TinyModels.batch), before)
        #expect(model(TinyModels.batch).elements != before.elements)
    }

    @Test func sequencesThatCannotBeEncodedStop() async {
        await #expect(processExitsWith: .failure) {
            _ = Self.model()(TokenBatch([[3], []]))
        }
        await #expect(processExitsWith: .failure) {
            _ = Self.model()(TokenBatch([[Int32](repeating: 3, count: 10)]))
        }
    }
}
