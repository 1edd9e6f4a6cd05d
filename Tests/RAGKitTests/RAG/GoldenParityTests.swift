import Foundation
import Testing

@testable import RAGKit

/// Every number on the way from text to update, against the reference's.
@Suite(.tags(.golden)) struct GoldenParityTests {
    @Test(arguments: Golden.all)
    func knowledgeBaseVectors(golden: Golden) throws {
        let folder = golden.folder.appendingPathComponent("ctx_encoder")
        let encoder = try DPREncoder(contentsOf: folder, role: .context)
        let model = try golden.model(.token, endToEnd: true)
        let tokenizer = try #require(model.contextTokenizer)
        let encodings = try golden.passages.map {
            tokenizer.encode($0.title, pair: $0.text, maxLength: 128)
        }
        #expect(encodings.map(\.ids) == (try Golden.ids(golden.expected["kb_input_ids"])))
        let ids = encodings.map(\.ids)
        expectClose(
            encoder(TokenBatch(ids)), try golden.tensors.tensor("kb_embeddings"),
            relative: 1e-4, ofRootMeanSquare: 1e-4)
        expectClose(
            encoder(TokenBatch(ids, typeIDs: encodings.map(\.typeIDs))),
            try golden.tensors.tensor("kb_embeddings_token_types"),
            relative: 1e-4, ofRootMeanSquare: 1e-4)
    }

    @Test(arguments: Golden.all)
    func passageEncoderMakesTheSameIndex(golden: Golden) throws {
        let model = try golden.model(.token, endToEnd: true)
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let vectors = try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: golden.passages), with: encoder)
        expectClose(
            vectors, try golden.tensors.tensor("kb_embeddings"), relative: 1e-4,
            ofRootMeanSquare: 1e-4)
    }

    @Test(arguments: Golden.all)
    func questionsAndTargets(golden: Golden) throws {
        let model = try golden.model(.token, endToEnd: false)
        let questions = try golden.strings("questions")
        let tokens = try model.questionTokens(questions)
        #expect(tokens.sequences == (try Golden.ids(golden.expected["question_input_ids"])))
        expectClose(
            model.questionEncoder(tokens), try golden.tensors.tensor("question_embeddings"),
            relative: 1e-4, ofRootMeanSquare: 1e-4)
        let targets = try golden.strings("answers").map {
            model.contextBuilder.target($0, model.configuration)
        }
        #expect(TokenBatch(targets) == (try golden.targets))
    }

    @Test(arguments: Golden.all)
    func retrievalScoresAndContexts(golden: Golden) async throws {
        let model = try golden.model(.token, endToEnd: false)
        let (loss, evidence) = try await golden.loss(model)
        let section = try golden.section(.token)
        let found = evidence.passages.map { $0.map { Int32($0.passage.id.rawValue) } }
        #expect(found == (try Golden.ids(section["doc_ids"])))
        let scores = try Golden.numbers(section["doc_scores"]).map { $0.map { Float($0) } }
        expectClose(
            loss.documentScores,
            Tensor(scores.flatMap { $0 }, shape: [scores.count, scores[0].count]),
            relative: 1e-4, ofRootMeanSquare: 1e-4)
        #expect(
            evidence.contexts.sequences == (try Golden.ids(section["context_input_ids"])))
    }

    @Test(arguments: Golden.all)
    func generatorStatesAndLogProbabilities(golden: Golden) async throws {
        let model = try golden.model(.token, endToEnd: false)
        let (loss, evidence) = try await golden.loss(model)
        let documents = evidence.documents
        // The reference's values are padded; ours are its real rows. Two questions are recorded.
        let contexts = TokenBatch(evidence.contexts.sequences.prefix(2 * documents))
        let memory = model.generator.encode(contexts)
        let mask = try golden.tensors.file("context_attention_mask")
        #expect(contexts.lengths == mask)
        let states = try golden.tensors.tensor("generator_encoder_last_hidden_padded")
        expectClose(
            memory.hidden, states.unpadded(contexts.lengths), relative: 1e-4, ofRootMeanSquare: 1e-4
        )

        // T5's have the start token before the target, BART's begin with the target itself.
        let padded = try Golden.ids(golden.expected["decoder_input_ids_padded"])
        let starts = model.generator.tokenIDs.bos == nil ? 1 : 0
        let lengths = try golden.targets.lengths.map { $0 + starts }
        let inputs = (0..<2).flatMap {
            repeatElement(Array(padded[$0][..<lengths[$0]]), count: documents)
        }
        let hidden = model.generator.decode(
            TokenBatch(inputs), memory, attending: (0..<memory.count).map { [$0] })
        let logits = model.generator.projection.logits(hidden)
        let expected = try golden.tensors.tensor("rag_token_logits_per_doc")
        expectClose(
            logits, expected.unpadded(inputs.map(\.count)), relative: 1e-4, ofRootMeanSquare: 1e-4)

        let priors = loss.documentScores.logSoftmax()
        let marginals = try golden.tensors.tensor("rag_token_marginal_logprobs")
        var row = 0
        for question in 0..<2 {
            let count = lengths[question]
            let own = logits.slice(row..<row + documents * count)
                .reshaped([documents, count, logits.dim(1)]).logSoftmax()
            let prior = priors.slice(question..<question + 1).reshaped([documents, 1, 1])
            expectClose(
                (own + prior).logSumExp(axis: 0),
                marginals.slice(question..<question + 1).unpadded([count]),
                relative: 1e-4, ofRootMeanSquare: 1e-4)
            row += documents * count
        }
    }

    @Test(arguments: Golden.all, [Marginalization.token, .sequence])
    func losses(golden: Golden, kind: Marginalization) async throws {
        let section = try golden.section(kind)
        let model = try golden.model(kind, endToEnd: false)
        let (loss, evidence) = try await golden.loss(model)
        func number(_ key: String) throws -> Double { try #require(section[key]?.doubleValue) }
        expectClose(Double(loss.sum.item()), try number("loss"), relative: 1e-5, "loss")
        let each = try #require(section["loss_per_example"]?.arrayValue)
        for (index, pair) in zip(loss.perExample.elements, each).enumerated() {
            expectClose(
                Double(pair.0), try #require(pair.1.doubleValue), relative: 1e-4, "example \(index)"
            )
        }
        #expect(each.count == loss.perExample.count)
        let (smoothed, _) = try await golden.loss(model, smoothing: 0.1)
        expectClose(
            Double(smoothed.sum.item()), try number("loss_smoothing_0.1"), relative: 1e-5,
            "smoothed")
        guard kind == .sequence else { return }

        let questions = try golden.strings("questions")
        let vectors = model.questionEncoder(try model.questionTokens(questions))
        // With the start token before each target, the option to leave out <s> has an effect.
        let start = model.generator.tokenIDs.decoderStart
        let started = TokenBatch(try golden.targets.sequences.map { [start] + $0 })
        let cases = [
            ("loss_exclude_bos_score", try golden.targets, true),
            ("loss_started", started, false),
            ("loss_started_exclude_bos_score", started, true),
        ]
        for (key, targets, excludes) in cases where section[key] != nil {
            model.configuration.excludeBosScore = excludes
            let found = try model.loss(vectors: vectors, evidence: evidence, targets: targets)
            expectClose(Double(found.sum.item()), try number(key), relative: 1e-5, key)
        }
    }

    @Test(arguments: Golden.all, [Marginalization.token, .sequence])
    func endToEndGradients(golden: Golden, kind: Marginalization) async throws {
        let section = try golden.section(kind)
        let model = try golden.model(kind, endToEnd: true)
        let (loss, _) = try await golden.loss(model)
        expectClose(
            Double(loss.sum.item()), try #require(section["end2end_loss"]?.doubleValue),
            relative: 1e-5, "end-to-end loss")
        let scores = try Golden.numbers(section["end2end_doc_scores"]).flatMap { $0 }
        expectClose(
            loss.documentScores,
            Tensor(scores.map { Float($0) }, shape: loss.documentScores.shape),
            relative: 1e-4, ofRootMeanSquare: 1e-4)

        let gradients = gradients(of: loss.sum, for: model.parameters())
        let norms = try #require(section["grad_norms"]?.objectValue)
        let total = norms.reduce(0) { $0 + pow($1.value.doubleValue ?? 0, 2) }.squareRoot()
        let names = Set(model.namedParameters().map(\.name))
        #expect(names == Set(norms.keys), "the same parameters have gradients")
        for (name, parameter) in model.namedParameters() {
            let expected = try #require(norms[name]?.doubleValue, "\(name)")
            let gradient = try #require(gradients[parameter], "no gradient for \(name)")
            let norm = gradient.norm
            // Some are zero in exact arithmetic; there only their smallness means anything.
            guard norm > 1e-6 * total || expected > 1e-6 * total else { continue }
            expectClose(norm, expected, relative: 1e-4, "gradient of \(name)")
        }
        let prefix = (kind == .token ? "rag_token" : "rag_sequence") + ".grad."
        let whole = golden.tensors.names.filter { $0.hasPrefix(prefix) }
        #expect(whole.count == 2)
        for key in whole {
            let name = String(key.dropFirst(prefix.count))
            let parameter = try #require(model.namedParameters().first { $0.name == name })
                .parameter
            expectClose(
                try #require(gradients[parameter]), try golden.tensors.tensor(key), relative: 1e-4,
                ofRootMeanSquare: 1e-4)
        }
    }

    @Test(arguments: Golden.all, [Marginalization.token, .sequence])
    func eightSteps(golden: Golden, kind: Marginalization) async throws {
        let section = try golden.section(kind)
        let model = try golden.model(kind, endToEnd: true)
        let settings = try golden.setting("adamw")
        var adamw = AdamW.Settings()
        adamw.epsilon = Float(try #require(try settings.double("eps")))
        let betas = try #require(try settings.array("betas"))
        adamw.beta1 = Float(try #require(betas[0].doubleValue))
        adamw.beta2 = Float(try #require(betas[1].doubleValue))
        adamw.weightDecay = Float(try #require(try settings.double("weight_decay")))
        adamw.decay = .all
        let optimizer = AdamW(model.namedParameters(), adamw)
        let rate = try #require(try settings.double("lr"))
        let limit = try #require(try settings.double("max_grad_norm"))
        let steps = try Golden.numbers(section["adamw_losses_and_grad_norms"])
        let last = try #require(section["adamw_loss_and_grad_norm_after"]?.arrayValue)
            .map { try #require($0.doubleValue) }
        let documents = try #require(section["adamw_doc_ids"]?.arrayValue)
        for (step, expected) in (steps + [last]).enumerated() {
            let (loss, evidence) = try await golden.loss(model)
            let found = evidence.passages.map { $0.map { Int32($0.passage.id.rawValue) } }
            #expect(found == (try Golden.ids(documents[step])), "documents of step \(step)")
            let gradients = gradients(of: loss.sum, for: model.parameters())
            expectClose(Double(loss.sum.item()), expected[0], relative: 5e-5, "loss \(step)")
            expectClose(gradients.norm, expected[1], relative: 1e-4, "norm \(step)")
            let scale = min(1, limit / (gradients.norm + 1e-6))
            optimizer.update(gradients, learningRate: rate, gradientScale: Float(scale))
        }
    }
}

extension Tensor {
    /// The first `lengths[i]` rows of each padded block `i`: `[blocks, length, width]` → rows.
    func unpadded(_ lengths: [Int]) -> Tensor {
        let flat = reshaped([dim(0) * dim(1), dim(2)])
        return flat.rows(
            lengths.enumerated().flatMap { block, length in
                (0..<length).map { Int32(block * dim(1) + $0) }
            })
    }

    var norm: Double { elements.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() }
}

extension ModelWeights {
    /// The row sums of an integer mask: how many positions of each row are real.
    fileprivate func file(_ name: String) throws -> [Int] {
        let file = try SafetensorsFile(contentsOf: URL(fileURLWithPath: source))
        let entry = try file.entry(named: name, dtype: .int32)
        let width = entry.shape[1]
        return (0..<entry.shape[0]).map { row in
            (0..<width).reduce(0) { $0 + Int(entry.element(row * width + $1, as: Int32.self)) }
        }
    }
}
