/// A part of a model: parameters, and the modules it is made of.
///
/// A subclass declares its parts as stored properties; `Module` finds them in the order of their
/// declaration. A property's name in checkpoints is the property's own, or the key it is given:
///
///     public final class FeedForward: Module {
///         @ModuleInfo(key: "fc1") var expand: Linear
///         @ModuleInfo(key: "fc2") var contract: Linear
///     }
///
/// `init` builds shapes and initialization rules only; `initialize(using:)` or a load fills the
/// values. Modules are mutable and not `Sendable`: use one from one task at a time.
open class Module {
    /// The module's place in the model, in checkpoint words: the name of its random stream.
    private(set) var path = ""

    public init() {}

    /// The named parts, in order of declaration, superclasses first.
    private var parts: [(key: String, part: Part)] {
        var mirrors: [Mirror] = []
        var mirror: Mirror? = Mirror(reflecting: self)
        while let current = mirror {
            mirrors.append(current)
            mirror = current.superclassMirror
        }
        return mirrors.reversed().flatMap { mirror in
            mirror.children.flatMap { child in Self.parts(child.value, label: child.label ?? "") }
        }
    }

    private enum Part {
        case module(Module)
        case parameter(Parameter)
    }

    private static func parts(_ value: Any, label: String) -> [(key: String, part: Part)] {
        switch value {
        case let info as any KeyedPart:
            let name = info.key ?? String(label.drop { $0 == "_" })
            return info.content.map { parts($0, label: name) } ?? []
        case let module as Module: return [(label, .module(module))]
        case let parameter as Parameter: return [(label, .parameter(parameter))]
        case let modules as [Module]:
            return modules.enumerated().map { ("\(label).\($0)", .module($1)) }
        default:
            let mirror = Mirror(reflecting: value)
            guard mirror.displayStyle == .optional, let some = mirror.children.first else {
                return []
            }
            return parts(some.value, label: label)
        }
    }

    /// The direct parts that are modules, with their keys.
    public var children: [(key: String, module: Module)] {
        parts.compactMap { key, part in
            if case .module(let module) = part { (key, module) } else { nil }
        }
    }

    /// Every parameter under every name it has, in order of declaration: a tied parameter appears
    /// once for each module that uses it.
    func allNames() -> [(name: String, parameter: Parameter)] {
        parts.flatMap { key, part -> [(name: String, parameter: Parameter)] in
            switch part {
            case .parameter(let parameter): [(key, parameter)]
            case .module(let module):
                module.allNames().map {
                    (key.isEmpty ? $0.name : "\(key).\($0.name)", $0.parameter)
                }
            }
        }
    }

    /// Each parameter once, buffers included, under its first name.
    func namedValues() -> [(name: String, parameter: Parameter)] {
        var seen: Set<ObjectIdentifier> = []
        return allNames().filter { seen.insert(ObjectIdentifier($0.parameter)).inserted }
    }

    /// Each parameter once under its first name, without buffers.
    public func namedParameters() -> [(name: String, parameter: Parameter)] {
        namedValues().filter { !$0.parameter.isBuffer }
    }

    /// Each parameter once, in order of declaration, without buffers.
    public func parameters() -> [Parameter] { namedParameters().map(\.parameter) }

    /// The number of elements in all parameters, each counted once.
    public var parameterCount: Int { parameters().reduce(0) { $0 + $1.shape.product } }

    /// Fills every parameter as its initialization rule says, in order of declaration.
    public func initialize(using generator: inout some RandomNumberGenerator) {
        for (_, parameter) in namedValues() { parameter.initialize(using: &generator) }
        namePaths()
    }

    /// Sets if parameters are trained, for those whose name `matches`.
    ///
    /// - Returns: The number of parameters that matched, so that a misspelt name can be noticed.
    @discardableResult
    public func setTrainable(_ isTrainable: Bool, where matches: (String) -> Bool) -> Int {
        var seen: Set<ObjectIdentifier> = []
        for (name, parameter) in allNames() where matches(name) && !parameter.isBuffer {
            parameter.isTrainable = isTrainable
            seen.insert(ObjectIdentifier(parameter))
        }
        return seen.count
    }

    /// Keeps parameters whose name `matches` (all by default) as they are.
    @discardableResult
    public func freeze(where matches: (String) -> Bool = { _ in true }) -> Int {
        setTrainable(false, where: matches)
    }

    /// Gives every module below its path, which names its random stream.
    func namePaths(_ prefix: String = "") {
        path = prefix
        for (key, module) in children {
            let separator = prefix.isEmpty || key.isEmpty ? "" : "."
            module.namePaths(prefix + separator + key)
        }
    }

    /// Shares the parameter values of `other`, which must have the same structure (copy on write).
    ///
    /// - Precondition: Both have the same parameters in the same order.
    public func shareValues(of other: Module) {
        let (mine, theirs) = (namedValues(), other.namedValues())
        precondition(
            mine.map(\.parameter.shape) == theirs.map(\.parameter.shape),
            "shareValues: the models differ in shape")
        for (target, source) in zip(mine, theirs) {
            target.parameter.update(source.parameter.value)
        }
    }
}
