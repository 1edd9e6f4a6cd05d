/// Changes parameters by their gradients, with a memory of earlier steps.
public protocol Optimizer: AnyObject {
    /// Changes the parameters by one step.
    ///
    /// - Parameters:
    ///   - gradients: Gradients of any of the optimizer's parameters; one without stays as it is.
    ///   - learningRate: The rate of this step.
    ///   - gradientScale: The factor of every gradient (the clip factor).
    func update(_ gradients: Gradients, learningRate: Double, gradientScale: Float)

    /// A copy of all that later steps depend on.
    var state: OptimizerState { get }

    /// Replaces the state, so that the next steps are those of the optimizer it was taken from.
    ///
    /// - Throws: ``OptimizerError``; the state is then as it was.
    func load(_ state: OptimizerState) throws
}
