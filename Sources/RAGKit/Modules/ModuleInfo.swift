/// A wrapped part with its key, for `Module`'s search for parts.
protocol KeyedPart {
    var key: String? { get }
    var content: Any? { get }
}

/// Names a module, an array of modules or an optional module after the checkpoint's key.
///
/// The property may be set once its superclass is initialized. A key may hold dots, and may be
/// empty when the checkpoint has no level for the part.
@propertyWrapper
public struct ModuleInfo<Value>: KeyedPart {
    let key: String?
    private var value: Value?

    public init(key: String? = nil) { self.key = key }

    public init(wrappedValue: Value, key: String? = nil) {
        self.key = key
        value = wrappedValue
    }

    public var wrappedValue: Value {
        get {
            guard let value else {
                preconditionFailure("module \(key ?? "") is used before it is set")
            }
            return value
        }
        set { value = newValue }
    }

    var content: Any? { value }
}

/// Names a parameter after the checkpoint's key.
public typealias ParameterInfo = ModuleInfo
