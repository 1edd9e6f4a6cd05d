import Foundation
import RAGKitBLAS
import Testing

/// The suites of this folder change the number of threads of the whole process, so all of them are children of one
/// serialized suite.
@Suite(.serialized) enum KernelTests {}

/// Deterministic values for tests; SplitMix64.
struct TestRandom {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func uniform(_ low: Float = -1, _ high: Float = 1) -> Float {
        low + (high - low) * Float(next() >> 40) / Float(1 << 24)
    }

    mutating func floats(_ count: Int, _ low: Float = -1, _ high: Float = 1) -> [Float] {
        (0..<count).map { _ in uniform(low, high) }
    }

    mutating func int(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// The sizes every kernel is tried at: none, one, around the vector widths, several vectors, a long one.
let kernelSizes = [0, 1, 7, 16, 17, 33, 100, 1003]

/// Instruction levels this machine has.
let kernelLevels: [Int32] = {
    let usual = ragkit_instruction_level()
    defer { ragkit_force_instruction_level(usual) }
    return (0...3).filter { ragkit_force_instruction_level($0) == $0 }
}()

/// Runs `body` at every instruction level of this machine and goes back to the usual one.
func atEachLevel(_ body: (Int32) throws -> Void) rethrows {
    let usual = ragkit_instruction_level()
    defer { ragkit_force_instruction_level(usual) }
    for level in kernelLevels {
        #expect(ragkit_force_instruction_level(level) == level)
        try body(level)
    }
}

/// The bits that `body` returns must not depend on the number of threads.
func expectSameBits(
    _ name: String = "", sourceLocation: SourceLocation = #_sourceLocation, _ body: () -> [Float]
) {
    let usual = ragkit_thread_count()
    defer { ragkit_set_thread_count(usual) }
    ragkit_set_thread_count(1)
    let one = body()
    for threads in [2, 3] {
        ragkit_set_thread_count(threads)
        let other = body()
        let same =
            one.count == other.count
            && zip(one, other).allSatisfy { $0.bitPattern == $1.bitPattern }
        #expect(same, "\(name) with \(threads) threads", sourceLocation: sourceLocation)
    }
}

/// Compares every element: |found - expected| <= absolute + relative * |expected|; NaN equals NaN.
func expectClose(
    _ found: [Float], _ expected: [Double], relative: Double = 2e-7, absolute: Double = 2e-7,
    _ name: @autoclosure () -> String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    guard found.count == expected.count else {
        Issue.record(
            "\(name()): \(found.count) values, expected \(expected.count)",
            sourceLocation: sourceLocation)
        return
    }
    for (i, (f, e)) in zip(found, expected).enumerated() {
        let rounded = Float(e)
        if f == rounded || (f.isNaN && e.isNaN) { continue }
        if abs(Double(f) - e) <= absolute + relative * abs(e) { continue }
        Issue.record(
            "\(name()): element \(i) is \(f), expected \(e), off by \(Double(f) - e)",
            sourceLocation: sourceLocation)
        return
    }
}

func doubles(_ x: [Float]) -> [Double] { x.map(Double.init) }

/// start + the sum of term(0 ..< count)
func summed(_ count: Int, from start: Double = 0, _ term: (Int) -> Double) -> Double {
    var sum = start
    for i in 0..<count { sum += term(i) }
    return sum
}
