import Foundation
import Testing

@testable import RAGKit

/// Every setting of generation at values that are not the default, id for id with the reference: see
/// `Fixtures/generation/make_fixture.py`.
@Suite(.tags(.golden)) struct GenerationSettingsTests {
    /// The settings of one case and what the reference wrote.
    struct Case: Sendable, CustomTestStringConvertible {
        let json: JSONValue

        var testDescription: String {
            let prefix = json["prefix"] == .bool(true) ? " prefix" : ""
            return (json["settings"]?.text(indent: nil) ?? "") + prefix
        }

        /// The case's settings over the model's own.
        func settings(over usual: GenerationConfiguration) throws -> GenerationConfiguration {
            var all = usual.json
            for (key, value) in try #require(json["settings"]?.objectValue) { all[key] = value }
            var settings = try GenerationConfiguration(json: all)
            if json["prefix"] == .bool(true) {
                settings.prefixAllowedTokens = { _, ids in
                    (0..<480).filter { Int($0) % 3 == ids.count % 3 || $0 == 2 }
                }
            }
            return settings
        }
    }

    static let cases: [Case] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/generation/expected.json")
        return (try? JSONValue(contentsOf: file))?.arrayValue?.map(Case.init) ?? []
    }()

    private func golden() throws -> Golden {
        try #require(Golden.all.first { $0.folder.path.hasSuffix("Fixtures/golden/bart") })
    }

    @Test func thereAreCases() { #expect(Self.cases.count >= 20) }

    @Test(arguments: cases, [Marginalization.token, .sequence])
    func models(item: Case, kind: Marginalization) async throws {
        guard let expected = item.json[kind == .token ? "rag_token" : "rag_sequence"] else {
            return
        }
        let golden = try golden()
        let model = try golden.model(kind, endToEnd: false)
        let found = try await model.generate(
            golden.strings("questions"), generation: item.settings(over: model.generation))
        #expect(found == (try Golden.ids(expected)))
    }

    @Test(arguments: cases)
    func generatorAlone(item: Case) throws {
        let golden = try golden()
        let model = try golden.model(.token, endToEnd: false)
        let contexts = try Golden.ids(golden.section(.token)["context_input_ids"])
        let memory = model.generator.encode(
            TokenBatch(contexts.prefix(2 * model.configuration.nDocs)))
        let found = try model.generator.generate(
            memory, attending: (0..<memory.count).map { [$0] },
            item.settings(over: model.generation))
        #expect(found.flatMap { $0.map(\.tokenIDs) } == (try Golden.ids(item.json["generator"])))
    }
}
