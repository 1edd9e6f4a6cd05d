import Testing

@testable import RAGKit

/// Every sequence that the reference generated, id for id.
@Suite(.tags(.golden)) struct GoldenGenerationTests {
    @Test(arguments: Golden.all, [false, true])
    func ragToken(golden: Golden, endToEnd: Bool) async throws {
        let questions = try golden.strings("questions")
        let model = try golden.model(.token, endToEnd: endToEnd)
        let expected = try #require(golden.section(.token)["generate"]?.objectValue)
        let searches = try #require(golden.setting("generation").objectValue)
        #expect(Set(expected.keys) == Set(searches.keys) && expected.count >= 5)
        for (name, search) in searches {
            model.generation = try Self.settings(search, over: model.generation)
            let found = try await model.generate(questions)
            let ids = try Golden.ids(expected[name]).map { Self.trimmed($0, model.generator) }
            #expect(found == ids, "\(name)")
        }
    }

    @Test(arguments: Golden.all, [false, true])
    func ragSequence(golden: Golden, endToEnd: Bool) async throws {
        let questions = try golden.strings("questions")
        let model = try golden.model(.sequence, endToEnd: endToEnd)
        let expected = try #require(golden.section(.sequence)["generate"]?.objectValue)
        let searches = try #require(golden.setting("generation").objectValue)
        #expect(expected.count == 2 * searches.count)
        for (name, search) in searches {
            model.generation = try Self.settings(search, over: model.generation)
            for deduplicates in [false, true] {
                model.configuration.doDeduplication = deduplicates
                let key = "\(name)_dedup\(deduplicates ? 1 : 0)"
                let found = try await model.generate(questions)
                let ids = try Golden.ids(expected[key]).map { Self.trimmed($0, model.generator) }
                #expect(found == ids, "\(key)")
            }
        }
    }

    @Test(arguments: Golden.all)
    func generatorAlone(golden: Golden) async throws {
        let model = try golden.model(.token, endToEnd: false)
        let contexts = try Golden.ids(golden.section(.token)["context_input_ids"])
        for (key, beams) in [("generator_beam4", 4), ("generator_greedy", 1)] {
            let expected = try Golden.ids(golden.expected[key])
            let memory = model.generator.encode(TokenBatch(contexts.prefix(expected.count)))
            model.generation.numBeams = beams
            let found = try model.generator.generate(
                memory, attending: (0..<memory.count).map { [$0] }, model.generation)
            #expect(
                found.map { $0[0].tokenIDs } == expected.map { Self.trimmed($0, model.generator) },
                "\(key)")
        }
    }

    /// The settings of one of the folder's searches; ids are the model's.
    private static func settings(
        _ search: JSONValue, over usual: GenerationConfiguration
    ) throws -> GenerationConfiguration {
        var settings = try GenerationConfiguration(json: search)
        settings.forcedBosTokenID = usual.forcedBosTokenID
        settings.forcedEosTokenID = usual.forcedEosTokenID
        return settings
    }

    /// A reference sequence without the padding behind its end.
    private static func trimmed(_ ids: [Int32], _ generator: any Seq2SeqGenerator) -> [Int32] {
        let (eos, rest) = (generator.tokenIDs.eos, ids.dropFirst())
        return Array(ids[...(rest.firstIndex(of: eos) ?? ids.count - 1)])
    }
}
