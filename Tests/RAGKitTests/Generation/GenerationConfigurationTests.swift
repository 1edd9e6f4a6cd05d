import Testing

@testable import RAGKit

@Suite struct GenerationConfigurationTests {
    private let ids = GeneratorTokenIDs(bos: 0, eos: 2, pad: 1, decoderStart: 2)

    @Test func readsAndWritesTheReferencesKeys() throws {
        let json: JSONValue = [
            "max_length": 33, "min_length": 4, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
        ]
        let settings = try GenerationConfiguration(json: json)
        #expect(settings.maxLength == 33 && settings.minLength == 4)
        #expect(settings.forcedBosTokenID == 0 && settings.forcedEosTokenID == 2)
        let written = settings.json(ids)
        #expect(try GenerationConfiguration(json: written) == settings)
        #expect(written["decoder_start_token_id"]?.intValue == 2)
        #expect(try GenerationConfiguration(json: [:]) == GenerationConfiguration())
        #expect(
            try GenerationConfiguration(json: GenerationConfiguration().json(ids))
                == GenerationConfiguration())
    }

    @Test(
        arguments: [
            ["max_length": 0], ["max_length": "long"], ["min_length": -1],
            ["forced_eos_token_id": 5_000_000_000], ["forced_bos_token_id": -7],
            ["forced_bos_token_id": "x"],
        ] as [JSONValue])
    func refusesWhatMakesNoSense(json: JSONValue) {
        #expect(throws: (any Error).self) { _ = try GenerationConfiguration(json: json) }
    }

    /// What each processor leaves of ten scores after a sequence.
    private func allowed(_ settings: GenerationConfiguration, after sequence: [Int32]) -> [Int] {
        var scores = (0..<10).map { -Float($0) }
        scores.withUnsafeMutableBufferPointer { buffer in
            for processor in settings.processors(ids) { processor.process(buffer, after: sequence) }
        }
        return scores.indices.filter { scores[$0] > -.infinity }
    }

    @Test func processorsForbidWhatTheySay() {
        var settings = GenerationConfiguration()
        let all = Array(0..<10)
        #expect(allowed(settings, after: [2]) == all)
        settings.minLength = 3
        #expect(allowed(settings, after: [2]) == all.filter { $0 != 2 })
        #expect(allowed(settings, after: [2, 5]) == all.filter { $0 != 2 })
        #expect(allowed(settings, after: [2, 5, 5]) == all)
        settings.minLength = 0
        settings.forcedBosTokenID = 7
        #expect(allowed(settings, after: [2]) == [7])
        #expect(allowed(settings, after: [2, 7]) == all)
        settings.maxLength = 4
        settings.forcedEosTokenID = 2
        #expect(allowed(settings, after: [2, 7]) == all)
        #expect(allowed(settings, after: [2, 7, 7]) == [2])
        // The end that is forced comes before a minimum that cannot be kept.
        settings.minLength = 9
        #expect(allowed(settings, after: [2, 7, 7]) == [2])
    }

    /// Each row takes its best token, ends by itself, and is fed padding after its end.
    @Test func greedySearchEndsEachRowByItself() {
        var settings = GenerationConfiguration()
        settings.maxLength = 6
        let search = GreedySearch(configuration: settings, ids: ids)
        // What each row says at each step; 2 ends it.
        let script: [[Int32]] = [[5, 2, 9, 9, 9], [6, 7, 8, 2, 9], [3, 3, 3, 3, 3]]
        var fed: [[Int32]] = []
        let found = search.decode(rows: 3) { newest in
            let step = fed.count
            fed.append(newest)
            var scores = [Float](repeating: -5, count: 30)
            for row in 0..<3 { scores[row * 10 + Int(script[row][step])] = -1 }
            return Tensor(scores, shape: [3, 10])
        }
        #expect(found == [[2, 5, 2], [2, 6, 7, 8, 2], [2, 3, 3, 3, 3, 3]])
        #expect(fed == [[2, 2, 2], [5, 6, 3], [1, 7, 3], [1, 8, 3], [1, 1, 3]])
    }
}
