import RAGKit
import Testing

/// Expects elements that differ by rounding only.
func expectClose(
    _ actual: Tensor, _ expected: Tensor, tolerance: Float = 1e-5,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard actual.shape == expected.shape else {
        Issue.record(
            "shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
        return
    }
    let size = expected.count > 0 ? expected.squared().mean().squareRoot().item() : 0
    for (index, (found, wanted)) in zip(actual.elements, expected.elements).enumerated()
    where !(abs(found - wanted) <= tolerance * (size + abs(wanted))) {
        Issue.record(
            "element \(index) is \(found), expected \(wanted)", sourceLocation: sourceLocation)
        return
    }
}

/// Expects that `output` depends on every trainable parameter, and that its gradients are the
/// slopes along random directions.
///
/// - Parameters:
///   - constantRow: of a table, whose look-ups have no gradient.
///   - isShift: parameters that the output does not depend on, since they shift all scores of a
///     softmax alike.
func expectGradients(
    of output: () -> Tensor, in model: Module, constantRow: (table: String, row: Int)? = nil,
    isShift: (String) -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    var random = SeededGenerator(seed: 11)
    func direction(_ shape: [Int]) -> Tensor {
        let all = Tensor.randomNormal(shape, using: &random)
        return all / all.squared().sum().squareRoot()
    }
    let cotangent = direction(output().shape)
    func weighed() -> Double {
        withoutGradients {
            zip(output().elements, cotangent.elements).reduce(0) {
                $0 + Double($1.0) * Double($1.1)
            }
        }
    }
    let found = gradients(of: (output() * cotangent).sum(), for: model.parameters())
    for (name, parameter) in model.namedParameters() where parameter.isTrainable {
        guard let gradient = found[parameter] else {
            Issue.record("\(name) is not reached", sourceLocation: sourceLocation)
            continue
        }
        let largest = gradient.magnitude().elements.max() ?? 0
        #expect(
            isShift(name) ? largest < 1e-5 : largest > 1e-5, "\(name): at most \(largest)",
            sourceLocation: sourceLocation)
        var along = direction(parameter.shape)
        if let constantRow, constantRow.table == name {
            let width = parameter.shape[1]
            let kept = along.elements.indices.map { $0 / width == constantRow.row ? 0 : 1 as Float }
            along = along * Tensor(kept, shape: parameter.shape)
        }
        let root = Float(parameter.value.count).squareRoot()
        let (value, step) = (parameter.value, 3e-3 * root)
        parameter.update(value + along * step)
        let after = weighed()
        parameter.update(value - along * step)
        let slope = (after - weighed()) / Double(2 * step)
        parameter.update(value)
        let error = abs(Double((gradient * along).sum().item()) - slope) * Double(root)
        #expect(error < 1e-2, "\(name): off by \(error)", sourceLocation: sourceLocation)
    }
}
