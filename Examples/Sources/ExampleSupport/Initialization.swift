import Foundation
import RAGKit

/// Positions as sines and cosines of falling frequency, `rows` times `width` numbers.
///
/// Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
public func sinusoids(rows: Int, width: Int) -> [Double] {
    (0..<rows * width).map { element in
        let (row, column) = element.quotientAndRemainder(dividingBy: width)
        let angle = Double(row) * pow(10_000, -Double(column / 2 * 2) / Double(width))
        return column % 2 == 0 ? sin(angle) : cos(angle)
    }
}

/// Gives position vectors sines and cosines to begin with: neighbours are then a rotation apart
/// everywhere, where random vectors would have to be learnt place by place.
///
/// - Parameters:
///   - suffix: ends the names of the tables.
///   - deviation: the size of an element, as an initial standard deviation.
public func setSinusoidalPositions(
    of model: Module, named suffix: String = "position_embeddings.weight", deviation: Float
) {
    for (name, parameter) in model.namedParameters() where name.hasSuffix(suffix) {
        let (rows, width) = (parameter.shape[0], parameter.shape[1])
        let size = Double(deviation) * 2.0.squareRoot()
        let waves = sinusoids(rows: rows, width: width).map { Float(size * $0) }
        parameter.update(Tensor(waves, shape: parameter.shape))
    }
}

/// Adds the identity to square weights: attention then begins by looking for like tokens and passing
/// them on, and a small model learns to copy in hundreds of steps instead of thousands.
public func addIdentity(to model: Module, where matches: (String) -> Bool) {
    for (name, parameter) in model.namedParameters()
    where matches(name) && parameter.shape.count == 2 && parameter.shape[0] == parameter.shape[1] {
        let width = parameter.shape[0]
        let identity = (0..<width * width).map { Float($0 % (width + 1) == 0 ? 1 : 0) }
        parameter.update(parameter.value + Tensor(identity, shape: parameter.shape))
    }
}
