import BenchmarkSupport
import Foundation
@_spi(Benchmarks) import RAGKit

/// One size of a training step or of re-encoding, for tables of how cost grows.
///
///     growth step documents=5 passage=128 batch=4 width=256 runs=5
///     growth step documents=20 checkpointing=1
///     growth encode passages=256 passage=128 width=256 runs=3
///
/// Models have random weights (encoders of 4 layers, a BART of 3 + 3, 8,192 words, heads 64 wide), ids
/// are random. Prints one line with the median of the runs; `growth.py` runs a process for each size,
/// so that the peak memory is that size's own.
@main
struct Growth {
    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        let mode = arguments.popFirst() ?? ""
        var sizes = [
            "documents": 5, "passage": 128, "batch": 4, "width": 256, "runs": 5, "passages": 256,
            "checkpointing": 0,
        ]
        for argument in arguments {
            let parts = argument.split(separator: "=").map(String.init)
            guard parts.count == 2, sizes[parts[0]] != nil, let value = Int(parts[1]),
                value > 0 || parts[0] == "checkpointing"
            else { stop("'\(argument)' is none of \(sizes.keys.sorted()) with = and a number") }
            sizes[parts[0]] = value
        }
        func size(_ name: String) -> Int { sizes[name] ?? 1 }
        guard size("width") % 64 == 0, size("passage") <= 512 else {
            stop("width must be a multiple of 64, passage at most 512 tokens")
        }
        var ids = RandomIDs()
        let run: () throws -> Void
        switch mode {
        case "step":
            run = try step(size, &ids)
        case "encode":
            let encoder = makeEncoder(.context, width: size("width"))
            let passages = TokenSequences(
                (0..<size("passages")).map { _ in ids.sequence(size("passage")) })
            run = { _ = try encoder.vectors(of: passages) }
        default: stop("the first argument is step or encode, not '\(mode)'")
        }
        try run()  // warm-up
        let seconds = try (0..<size("runs")).map { _ in
            try ContinuousClock().measure { try run() } / .seconds(1)
        }.sorted()
        emit("growth", ["mode": .string(mode), "seconds": .double(seconds[seconds.count / 2])])
    }

    private static func stop(_ message: String) -> Never {
        FileHandle.standardError.write(Data("growth: \(message)\n".utf8))
        exit(2)
    }

    /// A whole training step: forward, backward, update, with dropout.
    private static func step(
        _ size: (String) -> Int, _ ids: inout RandomIDs
    ) throws -> () throws -> Void {
        let (width, contexts) = (size("width"), size("batch") * size("documents"))
        let checkpoints = size("checkpointing") > 0
        let (model, tokenizer) = try randomModel(
            makeEncoder(.question, width: width), makeGenerator(width: width))
        try model.setContextEncoder(makeEncoder(.context, width: width), tokenizer: tokenizer)
        let questions = TokenBatch((0..<size("batch")).map { _ in ids.sequence(19) })
        let targets = TokenBatch((0..<size("batch")).map { _ in ids.sequence(8) })
        let evidence = Evidence(
            documents: size("documents"),
            contexts: TokenBatch((0..<contexts).map { _ in ids.sequence(size("passage") + 19) }),
            contextEncoderInputs: TokenBatch(
                (0..<contexts).map { _ in ids.sequence(size("passage")) }))
        let optimizer = AdamW(model.namedParameters())
        let parameters = model.parameters()
        return {
            let context = ForwardContext(
                isTraining: true, seed: 1, checkpointsActivations: checkpoints)
            let gradients = try withForwardContext(context) {
                let vectors = model.questionEncoder(questions)
                let loss = try model.loss(vectors: vectors, evidence: evidence, targets: targets)
                return RAGKit.gradients(of: loss.sum, for: parameters)
            }
            let scale = min(1, 1 / (gradients.norm + 1e-6))
            optimizer.update(gradients, learningRate: 1e-5, gradientScale: Float(scale))
        }
    }

    private static func makeEncoder(_ role: EncoderRole, width: Int) -> DPREncoder {
        var bert = BertConfiguration()
        bert.vocabSize = RandomIDs.vocabulary
        bert.hiddenSize = width
        bert.numHiddenLayers = 4
        bert.numAttentionHeads = width / 64
        bert.intermediateSize = 4 * width
        let encoder = DPREncoder(configuration: DPRConfiguration(role: role, bert: bert))
        var numbers = SeededGenerator(seed: role == .question ? 2 : 3)
        encoder.initialize(using: &numbers)
        return encoder
    }

    private static func makeGenerator(width: Int) -> BartGenerator {
        var bart = BartConfiguration()
        bart.vocabSize = RandomIDs.vocabulary
        bart.dModel = width
        bart.encoder = .init(layers: 3, heads: width / 64, ffnDim: 4 * width)
        bart.decoder = .init(layers: 3, heads: width / 64, ffnDim: 4 * width)
        return BartGenerator(configuration: bart)
    }
}

/// Sequences of random ids, the same in every run.
private struct RandomIDs {
    static let vocabulary = 8192
    private var numbers = SeededGenerator(seed: 1)

    mutating func sequence(_ length: Int) -> [Int32] {
        (0..<length).map { _ in Int32.random(in: 10..<Int32(Self.vocabulary), using: &numbers) }
    }
}
