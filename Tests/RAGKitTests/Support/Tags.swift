import Foundation
import Testing

extension Tag {
    /// Takes more than about two seconds; goes with `.unlessFast`.
    @Tag static var slow: Self
    /// Compares with values that the reference computed.
    @Tag static var golden: Self
    /// Reads or writes files, hostile ones too.
    @Tag static var files: Self
}

private let isFast = ProcessInfo.processInfo.environment["RAGKIT_TESTS"] == "fast"

extension Trait where Self == ConditionTrait {
    /// Skips a slow test in `Scripts/test.sh --fast`: `swift test` cannot skip by tag.
    static var unlessFast: Self { .disabled(if: isFast, "slow, and RAGKIT_TESTS is fast") }
}
