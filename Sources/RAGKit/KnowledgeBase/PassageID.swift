/// The number of a passage in its knowledge base.
///
/// It is given once, counting from 0, never changes, and is never given to another passage.
public struct PassageID: RawRepresentable, Hashable, Comparable, Sendable, Codable,
    ExpressibleByIntegerLiteral, CustomStringConvertible
{
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }
    public init(_ rawValue: Int) { self.rawValue = rawValue }
    public init(integerLiteral value: Int) { rawValue = value }

    public static func < (first: PassageID, second: PassageID) -> Bool {
        first.rawValue < second.rawValue
    }

    public var description: String { String(rawValue) }
}
