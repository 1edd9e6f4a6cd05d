import Testing

@testable import RAGKit

private func parameter(_ elements: [Float]) -> Parameter {
    let parameter = Parameter([elements.count], .zeros)
    parameter.update(Tensor(elements, shape: [elements.count]))
    return parameter
}

@Suite struct GradientsTests {
    @Test func oneBufferForEachParameterReached() {
        let (a, b, c) = (parameter([1, 2]), parameter([3, 4]), parameter([5]))
        let loss = (a.tensor * b.tensor * 10).sum()
        let found = gradients(of: loss, for: [a, b, c])
        #expect(found[a]?.elements == [30, 40] && found[b]?.elements == [10, 20])
        #expect(found[c] == nil)
        #expect(abs(found.norm - (900.0 + 1600 + 100 + 400).squareRoot()) < 1e-9)
        let only = gradients(of: (a.tensor * b.tensor).sum(), for: [b])
        #expect(only[a] == nil && only[b]?.elements == [1, 2])
        #expect(Gradients().norm == 0)
    }

    @Test func aParameterUsedManyTimesGetsTheSum() {
        let a = parameter([1, 2])
        let loss = (a.tensor * a.tensor).sum() + a.tensor.sum() * 5
        #expect(gradients(of: loss, for: [a, a])[a]?.elements == [7, 9])
    }

    @Test func walksAddUp() {
        let (a, b) = (parameter([1, 2]), parameter([3, 4]))
        var sum = gradients(of: (a.tensor * 2).sum(), for: [a, b])
        sum.add(gradients(of: (a.tensor * b.tensor).sum(), for: [a, b]))
        sum.add(gradients(of: (b.tensor * 10).sum(), for: [a, b]))
        #expect(sum[a]?.elements == [5, 6] && sum[b]?.elements == [11, 12])
        var empty = Gradients()
        empty.add(sum)
        #expect(empty[a]?.elements == [5, 6])
        empty.add(Gradients())
        #expect(empty[b]?.elements == [11, 12])
    }

    @Test func copiesAreIndependent() {
        let a = parameter([1, 2])
        func walk() -> Gradients { gradients(of: (a.tensor * 3).sum(), for: [a]) }
        var original = walk()
        let copy = original
        let buffer = original[a]
        original.add(walk())
        original.add(copy)
        #expect(copy[a]?.elements == [3, 3] && buffer?.elements == [3, 3])
        #expect(original[a]?.elements == [9, 9])
        let other = walk()
        original.add(other)
        original.add(walk())
        #expect(other[a]?.elements == [3, 3] && original[a]?.elements == [15, 15])
    }

    /// Two parameters may be handed one gradient, each of which is added to later.
    @Test func gradientsThatShareABufferAddUpApart() {
        let (a, b) = (parameter([1, 2]), parameter([3, 4]))
        var sum = gradients(of: (a.tensor + b.tensor).sum(), for: [a, b])
        sum.add(gradients(of: (a.tensor * 10).sum(), for: [a, b]))
        #expect(sum[a]?.elements == [11, 11] && sum[b]?.elements == [1, 1])
    }

    /// Sums of many micro-batches must not copy every gradient each time.
    @Test func sumsAreMadeInPlace() {
        let a = parameter([1, 2])
        var sum = gradients(of: (a.tensor * 3).sum(), for: [a])
        let address = sum[a]?.pointer
        for _ in 0..<3 { sum.add(gradients(of: (a.tensor * 2).sum(), for: [a])) }
        #expect(sum[a]?.pointer == address && sum[a]?.elements == [9, 9])
        // The same within one walk, as long as nobody else holds the buffer.
        let (engine, node) = (GradientEngine(), Node(leaf: "leaf", shape: [2]))
        var addresses: Set<UnsafeMutablePointer<Float>> = []
        for _ in 0..<3 {
            engine.accumulate(into: node) { buffer, accumulate in
                addresses.insert(buffer)
                for index in 0..<2 { buffer[index] = (accumulate ? buffer[index] : 0) + 1 }
            }
            engine.add(.full([2], 10), to: node)
        }
        #expect(addresses.count == 1 && engine.take(node)?.elements == [33, 33])
    }

    @Test func frozenParametersGetNone() {
        let (a, b) = (parameter([1, 2]), parameter([3, 4]))
        b.isTrainable = false
        let found = gradients(of: (a.tensor * b.tensor).sum(), for: [a, b])
        #expect(found[a]?.elements == [3, 4] && found[b] == nil)
        a.isTrainable = false
        #expect(!(a.tensor * b.tensor).isRecorded)
        #expect(gradients(of: (a.tensor * b.tensor).sum(), for: [a])[a] == nil)
    }

    @Test func aChangedParameterDoesNotChangeTheTape() {
        let a = parameter([1, 2])
        let loss = (a.tensor * a.tensor).sum()
        a.update { $0[0] = 100 }
        #expect(gradients(of: loss, for: [a])[a]?.elements == [2, 4])
    }
}
