import Foundation
import Testing

@testable import RAGKit

/// Against `Fixtures/answer-metrics/expected.json`, which `make_fixture.py` beside it wrote.
@Suite(.tags(.golden)) struct AnswerMetricsTests {
    private func expected(_ key: String) throws -> [JSONValue] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .appendingPathComponent("Fixtures/answer-metrics/expected.json")
        return try #require(try JSONValue(contentsOf: file).array(key))
    }

    @Test func normalization() throws {
        let cases = try expected("normalized")
        #expect(cases.count > 60)
        for one in cases {
            let text = try #require(one["text"]?.stringValue)
            let wanted = try #require(one["expected"]?.stringValue)
            let found = AnswerMetrics.normalized(text)
            #expect(
                Array(found.unicodeScalars) == Array(wanted.unicodeScalars),
                "\(text.debugDescription): \(found.debugDescription)")
        }
    }

    @Test func exactMatchAndF1() throws {
        for one in try expected("pairs") {
            let prediction = try #require(one["prediction"]?.stringValue)
            let answers = try #require(one["answers"]?.arrayValue).compactMap(\.stringValue)
            #expect(
                AnswerMetrics.exactMatch(prediction, answers) == one["exact_match"]?.boolValue,
                "\(prediction.debugDescription), \(answers)")
            let f1 = try #require(one["f1"]?.doubleValue)
            #expect(
                abs(AnswerMetrics.f1(prediction, answers) - f1) < 1e-12,
                "\(prediction.debugDescription), \(answers)")
        }
    }
}
