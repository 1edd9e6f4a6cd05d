/// A line of `merges.txt`.
struct BytePairMerge: Sendable, Equatable {
    var left: String
    var right: String
    /// The line's number in its file, for errors; 0 if it was not read from a file.
    var line = 0
}
