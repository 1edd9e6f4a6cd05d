import Testing

@testable import RAGKit

/// Expects each element within `relative` of its own expected size, plus `ofRootMeanSquare` of the
/// typical size of all of them, plus `absolute` for values that are zero but for rounding.
/// Infinities must be equal, and not-a-number meets itself.
///
/// One issue names the shape, how many elements differ, and the worst one with both values.
func expectClose(
    _ actual: [Double], _ expected: [Double], shape: [Int]? = nil, relative: Double = 1e-5,
    ofRootMeanSquare: Double = 1e-5, absolute: Double = 0,
    _ comment: @autoclosure () -> String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let shape = shape ?? [expected.count]
    guard actual.count == expected.count else {
        Issue.record(
            "\(comment()) \(actual.count) elements, expected \(expected.count) in shape \(shape)",
            sourceLocation: sourceLocation)
        return
    }
    let finite = expected.filter(\.isFinite)
    let meanSquare = finite.reduce(0) { $0 + $1 * $1 } / Double(max(finite.count, 1))
    let slack = ofRootMeanSquare * meanSquare.squareRoot() + absolute
    var (failures, worst, worstIndex) = (0, 0.0, 0)
    for (index, (a, e)) in zip(actual, expected).enumerated() {
        if a == e || (a.isNaN && e.isNaN) { continue }
        let allowed = relative * abs(e) + slack
        if a.isFinite && e.isFinite && abs(a - e) <= allowed { continue }
        failures += 1
        let excess = a.isFinite && e.isFinite && allowed > 0 ? abs(a - e) / allowed : .infinity
        if excess > worst { (worst, worstIndex) = (excess, index) }
    }
    guard failures > 0 else { return }
    Issue.record(
        """
        \(comment()) \(failures) of \(expected.count) elements differ in shape \(shape); at \
        \(position(worstIndex, in: shape)) found \(actual[worstIndex]), expected \
        \(expected[worstIndex]): \(worst) times the tolerance
        """,
        sourceLocation: sourceLocation)
}

/// The same for a tensor beside values in Double.
func expectClose(
    _ actual: Tensor, _ expected: [Double], relative: Double = 1e-5,
    ofRootMeanSquare: Double = 1e-5, absolute: Double = 0,
    _ comment: @autoclosure () -> String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectClose(
        actual.doubles, expected, shape: actual.shape, relative: relative,
        ofRootMeanSquare: ofRootMeanSquare, absolute: absolute, comment(),
        sourceLocation: sourceLocation)
}

/// The same for two tensors, whose shapes must be equal.
func expectClose(
    _ actual: Tensor, _ expected: Tensor, relative: Double = 1e-5,
    ofRootMeanSquare: Double = 1e-5, absolute: Double = 0,
    _ comment: @autoclosure () -> String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(actual.shape == expected.shape, "\(comment())", sourceLocation: sourceLocation)
    expectClose(
        actual, expected.doubles, relative: relative, ofRootMeanSquare: ofRootMeanSquare,
        absolute: absolute, comment(), sourceLocation: sourceLocation)
}

/// Expects the same bits: what must not depend on threads, or on a save and a load.
func expectIdentical(
    _ actual: Tensor, _ expected: Tensor, _ comment: @autoclosure () -> String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(actual.shape == expected.shape, "\(comment())", sourceLocation: sourceLocation)
    let pairs = zip(actual.elements, expected.elements)
    guard let index = pairs.enumerated().first(where: { $1.0.bitPattern != $1.1.bitPattern })
    else { return }
    Issue.record(
        """
        \(comment()) element \(position(index.offset, in: expected.shape)) is \
        \(index.element.0), expected exactly \(index.element.1)
        """,
        sourceLocation: sourceLocation)
}

/// The index along each axis of element `offset` of `shape`.
private func position(_ offset: Int, in shape: [Int]) -> [Int] {
    var rest = offset
    let indices = shape.reversed().map { size in
        defer { rest /= max(size, 1) }
        return rest % max(size, 1)
    }
    return indices.reversed()
}

extension Tensor {
    /// The elements in Double.
    var doubles: [Double] { elements.map { Double($0) } }
}
