import Testing

@testable import RAGKit

extension Module {
    /// Fills every parameter, buffers too, with numbers of generic size, so that no gradient is
    /// zero because a bias or a row happens to be, and names the paths of its modules.
    ///
    /// - Parameter initializing: If true, the model is initialized first, which takes numbers.
    func randomize(seed: UInt64, initializing: Bool = true) {
        var generator = SeededGenerator(seed: seed)
        if initializing { initialize(using: &generator) } else { namePaths() }
        for (name, parameter) in namedValues() {
            let isGain = name.lowercased().contains("norm") && name.hasSuffix("weight")
            parameter.update(
                .randomNormal(
                    parameter.shape, mean: isGain ? 1 : 0, standardDeviation: 0.3,
                    using: &generator))
        }
    }
}

/// Small models with sizes that no vector width divides.
enum TinyModels {
    static var bert: BertConfiguration {
        var config = BertConfiguration()
        config.vocabSize = 23
        config.hiddenSize = 12
        config.numHiddenLayers = 2
        config.numAttentionHeads = 3
        config.intermediateSize = 19
        config.maxPositionEmbeddings = 9
        config.hiddenDropoutProb = 0.2
        config.attentionProbsDropoutProb = 0.3
        return config
    }

    static var bart: BartConfiguration {
        var config = BartConfiguration()
        config.vocabSize = 23
        config.dModel = 12
        config.encoder = .init(layers: 2, heads: 3, ffnDim: 19)
        config.decoder = .init(layers: 2, heads: 2, ffnDim: 17)
        config.maxPositionEmbeddings = 9
        config.dropout = 0.2
        config.attentionDropout = 0.3
        config.activationDropout = 0.1
        return config
    }

    static var t5: T5Configuration {
        var config = T5Configuration()
        config.vocabSize = 23
        (config.dModel, config.dKV, config.numHeads, config.dFF) = (12, 5, 3, 19)
        (config.numLayers, config.numDecoderLayers) = (2, 2)
        config.relativeAttentionNumBuckets = 8
        config.relativeAttentionMaxDistance = 12
        config.dropoutRate = 0.2
        config.layerNormEpsilon = 1e-3
        config.tokenIDs = GeneratorTokenIDs(bos: nil, eos: 1, pad: 0, decoderStart: 2)
        return config
    }

    static let batch = TokenBatch([[5, 7, 11, 5], [22], [2, 3, 0, 19, 20, 21, 4]])
}

/// Expects the gradient of a random cotangent on `output` to reach every trainable parameter and no
/// frozen one, and to be what small steps along a random direction say.
///
/// A bias of keys adds the same to all scores of a query, which softmax ignores, so its gradient is
/// zero but for rounding.
///
/// - Parameters:
///   - isKeyBias: tells the keys' biases by name.
///   - usedRows: the rows of tables that the batch looks up; all others get exactly zero.
func expectEveryParameterReached(
    in model: Module, isKeyBias: (String) -> Bool, usedRows: [String: Set<Int>] = [:],
    tolerance: Double = 1e-2, sourceLocation: SourceLocation = #_sourceLocation,
    _ output: () -> Tensor
) {
    var generator = SeededGenerator(seed: 77)
    let cotangent = Tensor.randomDirection(output().shape, using: &generator)
    let found = gradients(of: (output() * cotangent).sum(), for: model.parameters())
    for (name, parameter) in model.namedParameters() {
        guard parameter.isTrainable else {
            #expect(found[parameter] == nil, "\(name) is frozen", sourceLocation: sourceLocation)
            continue
        }
        guard let gradient = found[parameter] else {
            Issue.record("\(name): no gradient", sourceLocation: sourceLocation)
            continue
        }
        let sizes = gradient.elements.map { abs($0) }
        let largest = sizes.max() ?? 0
        #expect(
            sizes.allSatisfy(\.isFinite) && (isKeyBias(name) ? largest < 1e-5 : largest > 1e-4),
            "\(name): largest gradient \(largest)", sourceLocation: sourceLocation)
        if let rows = usedRows[name] {
            let width = parameter.shape[1]
            for row in 0..<parameter.shape[0] {
                let isReached = sizes[row * width..<(row + 1) * width].contains { $0 > 0 }
                #expect(
                    isReached == rows.contains(row), "\(name), row \(row)",
                    sourceLocation: sourceLocation)
            }
        }
        let direction = Tensor.randomDirection(parameter.shape, using: &generator)
        if let row = parameter.zeroRow {  // its look-ups change the output without a gradient
            let width = parameter.shape[1]
            (direction.writablePointer + row * width).update(repeating: 0, count: width)
        }
        let (root, value) = (Double(direction.count).squareRoot(), parameter.value)
        let step = 3e-3 * root
        func weighed(_ distance: Double) -> Double {
            parameter.update(value + direction * Float(distance))
            return withoutGradients { dot(output(), cotangent) }
        }
        let numeric = (weighed(step) - weighed(-step)) / (2 * step)
        parameter.update(value)
        let error = abs(dot(gradient, direction) - numeric) * root
        #expect(
            error < tolerance,
            "\(name): \(dot(gradient, direction)), steps say \(numeric), error times √n \(error)",
            sourceLocation: sourceLocation)
    }
}

/// Expects that each sequence of a batch gives what it gives alone.
func expectRaggedEqualsAlone(
    _ batch: TokenBatch, relative: Double = 1e-5, ofRootMeanSquare: Double = 1e-5,
    sourceLocation: SourceLocation = #_sourceLocation, _ states: (TokenBatch) -> Tensor
) {
    let together = states(batch)
    for index in 0..<batch.count {
        expectClose(
            together.slice(batch.offsets[index]..<batch.offsets[index + 1]),
            states(TokenBatch([Array(batch[index])])), relative: relative,
            ofRootMeanSquare: ofRootMeanSquare, "sequence \(index):",
            sourceLocation: sourceLocation)
    }
}
