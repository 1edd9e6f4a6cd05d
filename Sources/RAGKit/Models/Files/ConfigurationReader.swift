import Foundation

/// Reads typed settings from a `config.json`, with a range check for every size.
struct ConfigurationReader {
    let json: JSONValue
    let model: String

    /// A required whole number.
    func size(_ key: String, atLeast least: Int = 1) throws -> Int {
        guard let value = try json.int(key) else {
            throw ConfigurationError.missing(key: key, model: model)
        }
        return try checked(key, value, atLeast: least)
    }

    /// A whole number with a default.
    func size(_ key: String, default value: Int, atLeast least: Int = 1) throws -> Int {
        try checked(key, json.int(key) ?? value, atLeast: least)
    }

    private func checked(_ key: String, _ value: Int, atLeast least: Int) throws -> Int {
        guard (least...(1 << 30)).contains(value) else {
            throw ConfigurationError.unsupported(
                key: key, value: "\(value)", expected: "a number from \(least) to \(1 << 30)")
        }
        return value
    }

    /// The id of a token of the vocabulary; required if there is no default.
    func tokenID(
        _ key: String, default value: Int32? = nil, below vocabSize: Int
    ) throws -> Int32 {
        let id =
            try value.map { try size(key, default: Int($0), atLeast: 0) } ?? size(key, atLeast: 0)
        guard id < vocabSize else {
            throw ConfigurationError.unsupported(
                key: key, value: "\(id)", expected: "an id below vocab_size, \(vocabSize)")
        }
        return Int32(id)
    }

    /// A dropout rate, from 0 up to but not including 1.
    func rate(_ key: String, default value: Float) throws -> Float {
        let rate = Float(try json.double(key) ?? Double(value))
        guard (0..<1).contains(rate) else {
            throw ConfigurationError.unsupported(
                key: key, value: "\(rate)", expected: "a rate of at least 0 and below 1")
        }
        return rate
    }

    /// A positive number.
    func positive(_ key: String, default value: Float) throws -> Float {
        let number = Float(try json.double(key) ?? Double(value))
        guard number > 0, number.isFinite else {
            throw ConfigurationError.unsupported(
                key: key, value: "\(number)", expected: "a number above 0")
        }
        return number
    }

    /// An activation by its name in transformers.
    func activation(_ key: String, default name: String) throws -> Activation {
        try activation(key, named: json.string(key) ?? name)
    }

    /// The activation with a name that was found at `key`.
    func activation(_ key: String, named name: String) throws -> Activation {
        switch name {
        case "gelu": return .gelu
        case "gelu_new", "gelu_pytorch_tanh": return .geluTanh
        case "relu": return .relu
        case "silu", "swish": return .silu
        case "tanh": return .tanh
        case "linear": return .identity
        default:
            throw ConfigurationError.unsupported(
                key: key, value: name, expected: "gelu, gelu_new, relu, silu, tanh or linear")
        }
    }

    /// Throws unless `heads` divides `width`.
    func checkHeads(_ heads: Int, divide width: Int, key: String) throws {
        guard width % heads == 0 else {
            throw ConfigurationError.unsupported(
                key: key, value: "\(heads)", expected: "a divisor of the hidden size \(width)")
        }
    }
}

/// The `config.json` of a model directory.
func configurationFile(in directory: URL) throws -> JSONValue {
    let file = directory.appendingPathComponent("config.json")
    guard FileManager.default.fileExists(atPath: file.path) else {
        throw CheckpointError.missingFile(
            file: file.path,
            advice: "a model directory holds config.json and model.safetensors or pytorch_model.bin"
        )
    }
    return try JSONValue(contentsOf: file)
}

extension Activation {
    /// The name in a `config.json`.
    var huggingFaceName: String {
        switch self {
        case .identity: "linear"
        case .relu: "relu"
        case .gelu: "gelu"
        case .geluTanh: "gelu_new"
        case .silu: "silu"
        case .tanh: "tanh"
        case .sigmoid: "sigmoid"
        }
    }
}

extension JSONValue {
    /// A Float32 as the shortest decimal number that reads back as the same Float32.
    static func number(_ value: Float) -> JSONValue { .double(Double("\(value)") ?? Double(value)) }
}
