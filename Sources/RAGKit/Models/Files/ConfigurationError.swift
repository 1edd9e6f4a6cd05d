/// A configuration that asks for something that the models here do not support.
public enum ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// A key has a value that is out of range or not supported.
    case unsupported(key: String, value: String, expected: String)
    /// A required key is missing.
    case missing(key: String, model: String)

    public var description: String {
        switch self {
        case .unsupported(let key, let value, let expected):
            "config: '\(key)' is \(value), expected \(expected)"
        case .missing(let key, let model):
            "config: '\(key)' is missing, which a \(model) needs"
        }
    }
}
