import Foundation
import RAGKitBLAS

/// When the index is made anew, counted in optimizer steps.
public enum RefreshSchedule: Sendable, Equatable {
    /// The index stays as it was at the start.
    case never
    /// After every so many steps, training waits until the new index is in use. A last refresh at
    /// the end makes index and encoder agree.
    case blocking(every: Int)
}

/// A refresh that was done.
public struct RefreshReport: Sendable, Equatable {
    /// The optimizer step whose context encoder made the vectors.
    public var step: Int
    /// The number of the version now in use.
    public var version: Int
    public var passages: Int
    public var seconds: Double
    /// How far the vectors moved: the root mean square of the differences over that of the old
    /// vectors.
    public var drift: Double
}

/// Encodes the knowledge base anew with the present context encoder and puts the new index in use.
///
/// The encoder is copied (sharing its values), and runs in evaluation mode without a tape. Searches
/// see the old index or the new one, whole. With a store, each version is also written to the run's
/// directory before it is used.
public final class IndexRefresher {
    public let schedule: RefreshSchedule
    private let retriever: any RefreshableRetriever
    private let store: IndexVersionStore?
    private var lastStep: Int?

    /// - Parameters:
    ///   - retriever: whose index is replaced; must be a `RefreshableRetriever` unless the schedule
    ///     is `.never`.
    ///   - store: where versions are kept.
    /// - Returns: `nil` for the schedule `.never`.
    /// - Throws: `TrainingError.notRefreshable` or `.invalidArgument`.
    public init?(
        _ retriever: (any Retriever)?, schedule: RefreshSchedule, store: IndexVersionStore? = nil
    ) throws {
        guard case .blocking(let every) = schedule else { return nil }
        guard every >= 1 else {
            throw TrainingError.invalidArgument(name: "refresh every", rule: "at least 1 step")
        }
        guard let refreshable = retriever as? any RefreshableRetriever else {
            throw TrainingError.notRefreshable(
                retriever: retriever.map { "\(type(of: $0))" } ?? "a model without retriever")
        }
        self.retriever = refreshable
        self.schedule = schedule
        self.store = store
    }

    /// Refreshes if the schedule says so after `step` optimizer steps.
    ///
    /// - Parameter isLast: training ends here: the index is made to agree with the encoder.
    /// - Returns: what was done, or `nil`.
    public func refreshIfDue(
        step: Int, isLast: Bool, encoder: any TextEncoder, tokenizer: any Tokenizer
    ) throws -> RefreshReport? {
        guard case .blocking(let every) = schedule, step != lastStep,
            isLast || (step > 0 && step % every == 0)
        else { return nil }
        return try refresh(step: step, encoder: encoder, tokenizer: tokenizer)
    }

    /// Makes a new index now and puts it in use.
    ///
    /// - Throws: what encoding or the store throws; the old index is then still in use.
    public func refresh(
        step: Int, encoder: any TextEncoder, tokenizer: any Tokenizer
    ) throws -> RefreshReport {
        let start = Date()
        let copy = encoder.snapshot()
        let vectors = try PassageEncoder(tokenizer: tokenizer)
            .encode(retriever.knowledgeBase, with: copy)
        guard
            vectors.withUnsafeElements({ ragkit_sum_of_squares($0.count, $0.baseAddress) })
                .isFinite
        else { throw TrainingError.notFiniteVectors(step: step) }
        let old = retriever.version
        var number = old.number + 1
        if let store {
            let manifest = IndexManifest(
                encoderFingerprint: copy.fingerprint, tokenizerFingerprint: tokenizer.fingerprint,
                step: step, count: vectors.dim(0), dimension: vectors.dim(1))
            number = try vectors.withUnsafeElements {
                try store.publish(vectors: $0, manifest: manifest)
            }
        }
        try retriever.publish(
            IndexVersion(index: FlatIndex(vectors), step: step, number: number))
        lastStep = step
        return RefreshReport(
            step: step, version: number, passages: vectors.dim(0),
            seconds: Date().timeIntervalSince(start), drift: drift(from: old.index, to: vectors))
    }

    private func drift(from old: any VectorIndex, to vectors: Tensor) -> Double {
        guard old.count == vectors.dim(0), old.dimension == vectors.dim(1) else { return .nan }
        var (moved, size) = (0.0, 0.0)
        vectors.withUnsafeElements { new in
            for row in 0..<old.count {
                old.vector(PassageID(row)).withUnsafeElements { before in
                    for (column, value) in before.enumerated() {
                        let difference = Double(new[row * old.dimension + column] - value)
                        moved += difference * difference
                        size += Double(value) * Double(value)
                    }
                }
            }
        }
        return (moved / max(size, .leastNormalMagnitude)).squareRoot()
    }
}

extension TextEncoder {
    /// A digest of all weights: names the encoder that made an index. The same bits give the same
    /// digest in every process.
    var fingerprint: String {
        var checksum = CRC32C()
        for (name, parameter) in namedValues() {
            Array(name.utf8).withUnsafeBytes { checksum.update($0) }
            parameter.value.withUnsafeElements { checksum.update(UnsafeRawBufferPointer($0)) }
        }
        return String(checksum.value, radix: 16)
    }
}
