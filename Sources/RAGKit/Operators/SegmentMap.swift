/// The key segments that each query segment attends to.
///
/// A segment is a run of rows: one sequence of a ragged batch. Query segment `s` attends to the key
/// segments listed for it, as if their rows were one sequence: its own for self-attention, one
/// document for RAG, several for fusion-in-decoder and MARGE, one shared by many for beams.
public struct SegmentMap: Sendable, Equatable {
    /// The beginning of each query segment among the query rows, and at last their number.
    public let queryOffsets: [Int]
    /// The beginning of each key segment among the key rows, and at last their number.
    public let keyOffsets: [Int]
    /// All lists of attended key segments, back to back.
    public let attended: [Int]
    /// The beginning of each query segment's list in `attended`, and at last its length.
    public let attendedOffsets: [Int]

    /// Each sequence attends to itself: self-attention.
    public init(selfAttention batch: TokenBatch) { self.init(selfAttention: batch.offsets) }

    /// Each segment attends to itself.
    ///
    /// - Parameter offsets: where each segment begins, and at last the number of rows.
    public init(selfAttention offsets: [Int]) {
        self.init(
            queryOffsets: offsets, keyOffsets: offsets, attended: Array(0..<offsets.count - 1))
    }

    /// Some rows of each segment attend to all of it.
    ///
    /// - Parameters:
    ///   - offsets: where each segment begins, and at last the number of rows.
    ///   - rows: ascending.
    init(selfAttention offsets: [Int], at rows: [Int32]) {
        var asking = 0
        let queryOffsets = offsets.map { offset in
            while asking < rows.count, rows[asking] < offset { asking += 1 }
            return asking
        }
        self.init(
            queryOffsets: queryOffsets, keyOffsets: offsets, attended: Array(0..<offsets.count - 1))
    }

    /// Query segment `s` attends to key segment `attended[s]` alone.
    public init(queryOffsets: [Int], keyOffsets: [Int], attended: [Int]) {
        self.init(
            queryOffsets: queryOffsets, keyOffsets: keyOffsets, attended: attended.map { [$0] })
    }

    /// Query segment `s` attends to the key segments `attended[s]`, in that order.
    ///
    /// - Precondition: the offsets ascend from 0; there is one list for each query segment; every
    ///   listed segment exists.
    public init(queryOffsets: [Int], keyOffsets: [Int], attended: [[Int]]) {
        for offsets in [queryOffsets, keyOffsets] {
            precondition(
                offsets.first == 0 && zip(offsets, offsets.dropFirst()).allSatisfy { $0 <= $1 },
                "SegmentMap: offsets must ascend from 0")
        }
        precondition(
            attended.count == queryOffsets.count - 1
                && attended.allSatisfy { $0.allSatisfy { (0..<keyOffsets.count - 1).contains($0) } },
            "SegmentMap: one list of existing key segments is needed for each query segment")
        self.queryOffsets = queryOffsets
        self.keyOffsets = keyOffsets
        self.attended = attended.flatMap { $0 }
        var next = [0]
        for list in attended { next.append(next[next.count - 1] + list.count) }
        attendedOffsets = next
    }

    /// The number of pairs of a query row and a key row that it attends to.
    var pairs: Int {
        var sum = 0
        for query in 0..<queryOffsets.count - 1 {
            let rows = queryOffsets[query + 1] - queryOffsets[query]
            for key in attended[attendedOffsets[query]..<attendedOffsets[query + 1]] {
                sum += rows * (keyOffsets[key + 1] - keyOffsets[key])
            }
        }
        return sum
    }

    /// The map of query rows that are there `count` times, one time after the other.
    func repeatingQueries(_ count: Int) -> SegmentMap {
        let (rows, lists) = (queryOffsets.last ?? 0, attendedLists)
        return SegmentMap(
            queryOffsets: [0]
                + (0..<count).flatMap { time in queryOffsets.dropFirst().map { time * rows + $0 } },
            keyOffsets: keyOffsets, attended: (0..<count).flatMap { _ in lists })
    }

    private var attendedLists: [[Int]] {
        zip(attendedOffsets, attendedOffsets.dropFirst()).map { Array(attended[$0..<$1]) }
    }
}
