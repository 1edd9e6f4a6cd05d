/// A module that is built from its configuration alone, so that copies of it can be made.
public protocol ConfiguredModule: Module {
    associatedtype Configuration: Sendable

    /// The settings that the module was built from.
    var configuration: Configuration { get }
    /// Builds shapes and initialization rules; values come from `initialize` or a load.
    init(configuration: Configuration)
}

extension ConfiguredModule {
    /// A copy that shares the values until either side changes them.
    public func snapshot() -> Self {
        let copy = Self(configuration: configuration)
        copy.shareValues(of: self)
        copy.namePaths(path)
        return copy
    }
}
