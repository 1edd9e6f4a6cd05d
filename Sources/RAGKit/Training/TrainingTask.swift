public import Foundation

/// A model with the way a batch of examples becomes its loss.
///
/// Preparing may wait (for a search, say); computing the loss does not, so that between loss and
/// update nothing else can run in between.
public protocol TrainingTask: AnyObject {
    associatedtype Example
    /// The value that `prepare` hands to `loss`.
    associatedtype Prepared

    /// The model whose parameters are trained.
    var model: Module { get }

    /// Everything that has to be fetched for a batch, such as passages. What it computes with the
    /// model is recorded and need not be computed again.
    func prepare(_ batch: [Example]) async throws -> Prepared

    /// The loss of a prepared batch, summed over it.
    func loss(_ prepared: Prepared) throws -> TrainingLoss

    /// Scores of the model as it is, by name; without any by default.
    func evaluate() async throws -> [String: Double]

    /// The score that decides which model is best, the highest wins, unless the training arguments
    /// name another. Nil, the default, takes the only score there is.
    var metricForBestModel: String? { get }

    /// Called with the number of optimizer steps made, after each step and when training ends. The
    /// default does nothing.
    ///
    /// - Parameter report: Tells the trainer's callbacks what happens meanwhile, such as that a new
    ///   index is in use.
    func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws

    /// Stops before training when something cannot work. By default nothing does.
    func validate() throws

    /// Stops before training when an example cannot be used. By default every example can.
    func validate(_ examples: [Example]) throws

    /// Writes the model into a directory that exists. The default writes nothing.
    func save(in directory: URL) throws
}

extension TrainingTask {
    public func evaluate() async throws -> [String: Double] { [:] }
    public var metricForBestModel: String? { nil }
    public func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws {}
    public func validate() throws {}
    public func validate(_ examples: [Example]) throws {}
    public func save(in directory: URL) throws {}
}
