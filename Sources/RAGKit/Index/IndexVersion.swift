public import Foundation

/// An index with the number and origin of its version.
///
/// An index from an ``IndexStore`` keeps this process from removing its version while it lives.
public struct IndexVersion: Sendable {
    public var index: any VectorIndex
    /// Counts the versions of a run.
    public var number: Int
    /// The optimizer step whose encoder made the vectors; 0 before training.
    public var step: Int
    public var origin: IndexOrigin
    /// The name of the index's kind.
    public var kind: String
    /// The time it was made, in whole seconds. For people: nothing is decided by it.
    public var created: Date

    public init(
        index: any VectorIndex, number: Int = 0, step: Int = 0, origin: IndexOrigin = IndexOrigin(),
        kind: String = FlatIndexKind().name, created: Date = Date()
    ) {
        self.index = index
        self.number = number
        self.step = step
        self.origin = origin
        self.kind = kind
        self.created = Date(timeIntervalSince1970: created.timeIntervalSince1970.rounded(.down))
    }

    /// The keys of a manifest that say all but the index itself.
    var content: JSONObject {
        [
            "version": .int(number), "step": .int(step), "kind": .string(kind),
            "encoder_fingerprint": .string(origin.encoder),
            "tokenizer_fingerprint": .string(origin.tokenizer),
            "precision": .string(origin.precision.rawValue),
            "knowledge_base": .string(origin.knowledgeBase),
            "count": .int(index.count), "dimension": .int(index.dimension),
            "created": .string(created.formatted(.iso8601)),
        ]
    }

    /// - Throws: ``ManifestFault``.
    init(index: any VectorIndex, _ content: JSONObject) throws {
        guard let created = try? Date(content.text("created"), strategy: .iso8601) else {
            throw ManifestFault("'created'")
        }
        guard let precision = Precision(rawValue: try content.text("precision")) else {
            throw ManifestFault("'precision'")
        }
        self.init(
            index: index, number: try content.count("version"), step: try content.count("step"),
            origin: IndexOrigin(
                encoder: try content.text("encoder_fingerprint"),
                tokenizer: try content.text("tokenizer_fingerprint"), precision: precision,
                knowledgeBase: try content.text("knowledge_base")),
            kind: try content.text("kind"), created: created)
    }
}
