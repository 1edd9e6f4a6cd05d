/// The way in which RAG-sequence compares the answers that a question's documents suggest.
///
/// Source: Lewis et al. 2020, arXiv:2005.11401, section 2.5.
public enum SequenceDecoding: String, Sendable {
    /// Each candidate is scored given every document.
    case thorough
    /// A candidate counts as impossible given documents whose beams did not find it, which costs
    /// nothing beyond the beams.
    case fast
}

/// The settings of a RAG model that are not those of its parts.
///
/// Source: Lewis et al. 2020, arXiv:2005.11401; names and defaults of transformers' `RagConfig`.
public struct RagConfiguration: Sendable, Equatable {
    public var marginalization = Marginalization.token
    /// The number of documents that are retrieved for a question.
    public var nDocs = 5
    /// Between title and text.
    public var titleSep = " / "
    /// Between document and question.
    public var docSep = " // "
    /// Put before the context of the generator.
    public var prefix = ""
    /// The longest context, document and question together, in generator tokens.
    public var maxCombinedLength = 300
    /// The longest question, in question-encoder tokens.
    public var maxQuestionLength = 128
    /// The longest target in training, in generator tokens.
    public var maxTargetLength = 25
    /// The part of the target's probability that is spread over the vocabulary: 0 up to 1.
    public var labelSmoothing: Float = 0
    /// RAG-sequence: leave the start token's probability out of targets that begin with it.
    public var excludeBosScore = false
    /// RAG-sequence generation: score equal candidates once.
    public var doDeduplication = true
    /// RAG-sequence generation: the way the candidates of a question's documents are compared.
    public var sequenceDecoding = SequenceDecoding.thorough
    public var compatibility = Compatibility()
    /// The `config.json` this was read from, with keys that only others know.
    var original: JSONValue = [:]

    public init() {}

    /// The places where the reference does something else than what is right; all false by default.
    public struct Compatibility: Sendable, Equatable {
        /// The generator reads the question as its encoder's tokenizer gives it back: lower-cased,
        /// respaced, without unknown words.
        public var decodesQuestionFromIDs = false
        /// A context that is too long loses its end, which is the question, and not the end of the
        /// passage.
        public var truncatesQuestionFirst = false
        /// Decoding starts with the target's own first token in training, and not with the start
        /// token before it, as generation does. Without effect where targets have no token in front
        /// (T5): there both start with the start token.
        public var startsDecoderWithTarget = false
        /// RAG-sequence: the document's probability enters at the second token, so that it is lost
        /// on targets of one token, and counted once for each entry of the vocabulary in smoothing.
        public var addsPriorAtSecondToken = false
        /// RAG-sequence generation ranks its candidates by the smoothed loss.
        public var ranksBySmoothedLoss = false
        /// RAG-token generation uses the index's vectors also when a context encoder is set.
        public var generatesWithIndexVectors = false
        /// RAG-sequence with `excludeBosScore`: the start token's probability is left out only when
        /// all targets of the batch begin with it, so that a loss depends on its neighbours.
        public var excludesBosByBatch = false
        /// Targets are tokenized without the space that the same words have inside a passage.
        public var omitsSpaceBeforeTarget = false

        public init() {}

        /// The behaviour of transformers 4.46.3, number for number.
        public static var huggingFace: Compatibility {
            var all = Compatibility()
            all.decodesQuestionFromIDs = true
            all.truncatesQuestionFirst = true
            all.startsDecoderWithTarget = true
            all.addsPriorAtSecondToken = true
            all.ranksBySmoothedLoss = true
            all.generatesWithIndexVectors = true
            all.excludesBosByBatch = true
            all.omitsSpaceBeforeTarget = true
            return all
        }

        /// The switches by the names under which a configuration file lists those that are on.
        fileprivate static var switches: [(String, WritableKeyPath<Compatibility, Bool>)] {
            [
                ("decodes_question_from_ids", \.decodesQuestionFromIDs),
                ("truncates_question_first", \.truncatesQuestionFirst),
                ("starts_decoder_with_target", \.startsDecoderWithTarget),
                ("adds_prior_at_second_token", \.addsPriorAtSecondToken),
                ("ranks_by_smoothed_loss", \.ranksBySmoothedLoss),
                ("generates_with_index_vectors", \.generatesWithIndexVectors),
                ("excludes_bos_by_batch", \.excludesBosByBatch),
                ("omits_space_before_target", \.omitsSpaceBeforeTarget),
            ]
        }
    }

    /// Reads the `config.json` of a RAG checkpoint.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "RAG model")
        original = json
        let architecture = try json.array("architectures")?.first?.stringValue ?? ""
        marginalization = architecture.hasPrefix("RagSequence") ? .sequence : .token
        nDocs = try reader.size("n_docs", default: nDocs)
        titleSep = try json.string("title_sep") ?? titleSep
        docSep = try json.string("doc_sep") ?? docSep
        prefix = try json["generator"]?.string("prefix") ?? prefix
        maxCombinedLength = try reader.size("max_combined_length", default: maxCombinedLength)
        labelSmoothing = try reader.rate("label_smoothing", default: labelSmoothing)
        excludeBosScore = try json.bool("exclude_bos_score") ?? excludeBosScore
        doDeduplication = try json.bool("do_deduplication") ?? doDeduplication
        let decoding = try json.string("ragkit_sequence_decoding") ?? sequenceDecoding.rawValue
        guard let known = SequenceDecoding(rawValue: decoding) else {
            throw ConfigurationError.unsupported(
                key: "ragkit_sequence_decoding", value: decoding, expected: "thorough or fast")
        }
        sequenceDecoding = known
        maxQuestionLength = try reader.size(
            "ragkit_max_question_length", default: maxQuestionLength)
        maxTargetLength = try reader.size("ragkit_max_target_length", default: maxTargetLength)
        for name in try json.array("ragkit_compatibility") ?? [] {
            let found = Compatibility.switches.first { $0.0 == name.stringValue }
            guard let path = found?.1 else {
                throw ConfigurationError.unsupported(
                    key: "ragkit_compatibility", value: name.summary,
                    expected: Compatibility.switches.map(\.0).joined(separator: ", "))
            }
            compatibility[keyPath: path] = true
        }
    }

    /// The settings as `config.json`, laid over what was read, with the parts' own inside.
    func json(questionEncoder: JSONValue, generator: JSONValue) -> JSONValue {
        var json = original
        json["model_type"] = "rag"
        let kind = marginalization == .token ? "Token" : "Sequence"
        json["architectures"] = .array([.string("Rag\(kind)ForGeneration")])
        json["is_encoder_decoder"] = true
        json["n_docs"] = .int(nDocs)
        json["title_sep"] = .string(titleSep)
        json["doc_sep"] = .string(docSep)
        json["max_combined_length"] = .int(maxCombinedLength)
        json["label_smoothing"] = .number(labelSmoothing)
        json["exclude_bos_score"] = .bool(excludeBosScore)
        json["do_deduplication"] = .bool(doDeduplication)
        json["ragkit_sequence_decoding"] = .string(sequenceDecoding.rawValue)
        json["ragkit_max_question_length"] = .int(maxQuestionLength)
        json["ragkit_max_target_length"] = .int(maxTargetLength)
        json["ragkit_compatibility"] = .array(
            Compatibility.switches.filter { compatibility[keyPath: $0.1] }.map { .string($0.0) })
        json["question_encoder"] = questionEncoder
        var generator = generator
        if prefix != generator["prefix"]?.stringValue ?? "" {
            generator["prefix"] = .string(prefix)
        }
        json["generator"] = generator
        for key in ["bos", "eos", "pad", "decoder_start"] {
            json["\(key)_token_id"] = generator["\(key)_token_id"]
        }
        return json
    }
}
