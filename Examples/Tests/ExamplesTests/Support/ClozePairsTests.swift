import ExampleSupport
import RAGKit
import Testing

@Suite struct ClozePairsTests {
    /// A sentence is taken out of its passage nine times out of ten, and the only one never.
    @Test func sentencesAreTakenOutMostly() {
        let long = Passage(id: 0, title: "Iron", text: "It is a metal. It rusts. Zinc helps.")
        let short = Passage(id: 1, title: "", text: "It is a gas.")
        var random = SeededGenerator(seed: 1)
        var (removed, kept) = (0, 0)
        for _ in 0..<300 {
            let pairs = clozePairs([long, short], using: &random)
            #expect(
                pairs.map(\.question)
                    == ["Iron", "It is a metal.", "It rusts.", "Zinc helps.", "It is a gas."])
            #expect(pairs[0].passage == long && pairs[4].passage == short)
            for pair in pairs[1...3] {
                #expect(pair.passage.id == 0 && pair.passage.title == "Iron")
                let others = ["It is a metal.", "It rusts.", "Zinc helps."]
                    .filter { $0 != pair.question }.joined(separator: " ")
                if pair.passage.text == others { removed += 1 }
                if pair.passage.text == long.text { kept += 1 }
            }
        }
        #expect(removed + kept == 900)
        // Of 900 draws, six standard deviations around 90.
        #expect(abs(kept - 90) < 54, "\(kept) of 900 were left in")
    }
}
