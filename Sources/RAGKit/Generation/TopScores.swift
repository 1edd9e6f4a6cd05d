import RAGKitBLAS

/// The best scores of each group of rows; see `ragkit_top_scores`.
///
/// - Returns: `groups · count` places, `row · width + column`, and their scores, offsets included.
func topScores(
    _ scores: UnsafePointer<Float>, groups: Int, rows: Int, width: Int, groupStride: Int,
    rowStride: Int, offsets: [Float], count: Int
) -> (places: [Int32], scores: [Float]) {
    precondition(
        offsets.count == groups * rows && rows * width <= Int(Int32.max),
        "topScores: \(offsets.count) offsets for \(groups) groups of \(rows) rows of \(width)")
    var places = [Int32](repeating: 0, count: groups * count)
    let best = [Float](unsafeUninitializedCapacity: groups * count) { buffer, filled in
        ragkit_top_scores(
            groups, rows, width, scores, groupStride, rowStride, offsets, count, &places,
            buffer.baseAddress)
        filled = groups * count
    }
    return (places, best)
}
