/// The negative log-likelihood of a batch of answers.
public struct RagLoss {
    /// The sum over the batch, a scalar in nats, smoothed if the configuration says so.
    public let sum: Tensor
    /// One value for each question, in nats.
    public let perExample: Tensor
    /// The number of target tokens that it is the sum over.
    public let targetTokens: Int
    /// The scores of each question's documents, `[questions, documents]`.
    public let documentScores: Tensor
    /// `log p(document) p(target | document)`, `[questions, documents]`, without a tape: its softmax
    /// is each document's share in the target.
    public let logPosteriors: Tensor
}

extension RagModel {
    /// The loss of known targets.
    ///
    /// - Parameters:
    ///   - vectors: of the questions, `[questions, dimension]`, recorded if their encoder trains.
    ///   - evidence: the documents of the same questions.
    ///   - targets: generator ids with special tokens, one sequence for each question.
    ///   - smoothing: replaces the configuration's label smoothing.
    /// - Throws: `RagError` naming what does not fit.
    public func loss(
        vectors: Tensor, evidence: Evidence, targets: TokenBatch, smoothing: Float? = nil
    ) throws -> RagLoss {
        guard targets.count == evidence.count else {
            throw RagError.countMismatch(
                what: "targets", expected: evidence.count, found: targets.count)
        }
        let scores = try documentScores(vectors, evidence)
        let memory = generator.encode(evidence.contexts)
        let byBatch = configuration.compatibility.excludesBosByBatch
        return try lossOfTargets(
            scores: scores, memory: memory, targets: targets,
            smoothing: smoothing ?? configuration.labelSmoothing,
            bosGroups: configuration.excludeBosScore
                ? (0..<targets.count).map { byBatch ? 0 : $0 } : nil)
    }

    /// The loss from scores `[questions, documents]` and encoded contexts, a question's together.
    private func lossOfTargets(
        scores: Tensor, memory: EncoderMemory, targets: TokenBatch, smoothing: Float,
        bosGroups: [Int]?
    ) throws -> RagLoss {
        // A target of T5 has no token in front that could start the decoder.
        let targetStarts =
            configuration.compatibility.startsDecoderWithTarget && generator.tokenIDs.bos != nil
        let start = targetStarts ? nil : generator.tokenIDs.decoderStart
        return try decodedLoss(
            scores: scores, memory: memory,
            decoding: DecodingTargets(targets, start: start, pad: generator.tokenIDs.pad),
            questionOfTarget: Array(0..<targets.count), smoothing: smoothing,
            bosGroups: bosGroups)
    }

    /// The loss of any number of targets for each question.
    ///
    /// - Parameters:
    ///   - scores: `[targets, documents]`.
    ///   - memory: contexts, a question's documents together.
    ///   - questionOfTarget: whose contexts each target is read from.
    ///   - bosGroups: RAG-sequence: the start token's probability is left out of targets in whose
    ///     group every target begins with it; `nil` leaves it in everywhere.
    func decodedLoss(
        scores: Tensor, memory: EncoderMemory, decoding: DecodingTargets, questionOfTarget: [Int],
        smoothing: Float, bosGroups: [Int]?
    ) throws -> RagLoss {
        let layout = TargetLayout(decoding: decoding, documents: scores.dim(1))
        // Each target is decoded once for each document of its question.
        var inputs = TokenBatch()
        var attended: [[Int]] = []
        for (target, question) in questionOfTarget.enumerated() {
            for document in 0..<layout.documents {
                inputs.append(decoding.inputs[target])
                attended.append([question * layout.documents + document])
            }
        }
        let hidden = generator.decode(inputs, memory, attending: attended)
        let priors = scores.logSoftmax()
        let result =
            switch configuration.marginalization {
            case .token: tokenMarginalLoss(hidden, priors, layout, smoothing)
            case .sequence: sequenceMarginalLoss(hidden, priors, layout, smoothing, bosGroups)
            }
        return RagLoss(
            sum: result.perExample.sum(), perExample: result.perExample,
            targetTokens: decoding.count, documentScores: scores,
            logPosteriors: priors.detached + result.byDocument.detached)
    }

    /// The loss of each target, and its log-likelihood given each document, `[targets, documents]`.
    private typealias TargetLosses = (perExample: Tensor, byDocument: Tensor)

    /// RAG-token: `-Σₜ log Σⱼ p(j) p(yₜ | j)`; see ``Marginalization/logLikelihoods(_:priors:offsets:)``.
    ///
    /// Written out on the layout's rows, because the vocabulary's projection gives the label's
    /// probability and the total of all labels by rows, which smoothing needs both.
    private func tokenMarginalLoss(
        _ hidden: Tensor, _ priors: Tensor, _ layout: TargetLayout, _ smoothing: Float
    ) -> TargetLosses {
        let tokenPriors = priors.rows(layout.questionOfToken)
        guard smoothing > 0 else {
            let picked = generator.projection.logProbabilities(hidden, targets: layout.rowLabels)
            return tokenMarginalLoss(picked, tokenPriors, layout)
        }
        let marginal = generator.projection.marginalLogProbabilities(
            hidden.rows(layout.rowsByToken), priors: tokenPriors, targets: layout.labels)
        let perExample = labelSmoothed(
            -layout.sumOverTokens(marginal.target * layout.labelMask),
            marginal.total.map { -layout.sumOverTokens($0 * layout.labelMask) }, smoothing)
        // Training does not ask for each document's part, so it is not computed here.
        return (perExample, .zeros(priors.shape))
    }

    /// The same without smoothing, from the log-probabilities of all labels, in the order question,
    /// document, token.
    private func tokenMarginalLoss(
        _ picked: TokenLogProbabilities, _ tokenPriors: Tensor, _ layout: TargetLayout
    ) -> TargetLosses {
        let byToken = picked.target.rows(layout.rowsByToken)
            .reshaped([layout.tokens, layout.documents])
        let marginal = (byToken + tokenPriors).logSumExp(axis: -1)
        return (
            -layout.sumOverTokens(marginal * layout.labelMask),
            layout.sumOverRows(picked.target.detached)
        )
    }

    /// The loss of targets whose log-probabilities are known, in the order target, document, token;
    /// RAG-token's without smoothing.
    ///
    /// - Parameter scores: `[targets, documents]`.
    func pickedLoss(
        picked: TokenLogProbabilities, scores: Tensor, decoding: DecodingTargets, smoothing: Float,
        bosGroups: [Int]?
    ) -> RagLoss {
        let layout = TargetLayout(decoding: decoding, documents: scores.dim(1))
        let priors = scores.logSoftmax()
        let result =
            switch configuration.marginalization {
            case .token: tokenMarginalLoss(picked, priors.rows(layout.questionOfToken), layout)
            case .sequence: sequenceMarginalLoss(picked, priors, layout, smoothing, bosGroups)
            }
        return RagLoss(
            sum: result.perExample.sum(), perExample: result.perExample,
            targetTokens: decoding.count, documentScores: scores,
            logPosteriors: priors.detached + result.byDocument.detached)
    }

    /// RAG-sequence: `-log Σⱼ p(j) Πₜ p(yₜ | j)`.
    private func sequenceMarginalLoss(
        _ hidden: Tensor, _ priors: Tensor, _ layout: TargetLayout, _ smoothing: Float,
        _ bosGroups: [Int]?
    ) -> TargetLosses {
        let picked = generator.projection.logProbabilities(
            hidden, targets: layout.rowLabels, includingTotal: smoothing > 0)
        return sequenceMarginalLoss(picked, priors, layout, smoothing, bosGroups)
    }

    /// The same from the log-probabilities of all labels, in the order question, document, token.
    private func sequenceMarginalLoss(
        _ picked: TokenLogProbabilities, _ priors: Tensor, _ layout: TargetLayout,
        _ smoothing: Float, _ bosGroups: [Int]?
    ) -> TargetLosses {
        let addsAtSecond = configuration.compatibility.addsPriorAtSecondToken
        // Targets of a single token have no second one: the reference loses their prior.
        let nllPriors = addsAtSecond ? priors * layout.hasSecondToken : priors
        let skipsFirst = bosGroups.map {
            layout.startsWith(generator.tokenIDs.bos, inAllOf: $0)
        }
        let target = picked.target * layout.rowMask(skipsFirst: skipsFirst)
        let byDocument = layout.sumOverRows(target)
        let nll = -(byDocument + nllPriors).logSumExp(axis: -1)
        guard smoothing > 0, let total = picked.total else { return (nll, byDocument) }
        let smoothPriors =
            addsAtSecond ? nllPriors * Float(generator.vocabularySize) : priors
        let sums = layout.sumOverRows(total * layout.rowMask())
        let smooth = -(sums + smoothPriors).logSumExp(axis: -1)
        return (labelSmoothed(nll, smooth, smoothing), byDocument)
    }

    /// `(1 - ε) nll + ε / V · smooth`.
    private func labelSmoothed(_ nll: Tensor, _ smooth: Tensor?, _ smoothing: Float) -> Tensor {
        guard let smooth else { return nll }
        return nll * (1 - smoothing) + smooth * (smoothing / Float(generator.vocabularySize))
    }
}
