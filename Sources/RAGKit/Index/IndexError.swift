/// An index that cannot be searched, built or opened.
public enum IndexError: Error, Equatable, CustomStringConvertible {
    /// Queries and index have vectors of different lengths.
    case dimensionMismatch(expected: Int, found: Int)
    /// Fewer than one passage was asked for.
    case invalidCount(Int)
    /// A vector holds an infinite number or one that is not a number.
    case notFinite(row: Int, column: Int, value: Float)
    /// The index is of a kind that the store was not given.
    case unknownKind(name: String, known: [String])

    public var description: String {
        switch self {
        case .dimensionMismatch(let expected, let found):
            "the index holds vectors of \(expected) numbers, the question encoder makes \(found): "
                + "use the encoders that made the index, or build it again"
        case .invalidCount(let count):
            "\(count) passages were asked for; ask for at least 1"
        case .notFinite(let row, let column, let value):
            "number \(column) of the vector in row \(row) is \(value): vectors must be finite"
        case .unknownKind(let name, let known):
            "the index is of kind '\(name)'; known are \(known.joined(separator: ", ")): give its "
                + "kind to the store"
        }
    }

    public static func == (one: IndexError, other: IndexError) -> Bool {
        // NaN is the value most often reported, and equals nothing.
        one.description == other.description
    }
}
