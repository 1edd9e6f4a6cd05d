// Code of the guide "Your own retrieval-augmented model": a test compares the two.
import RAGKit

/// Finds passages by the words they share with the question; rare words count more.
struct WordRetriever: Retriever {
    private let passages: [Passage]
    private let words: [Set<String>]
    /// In how many passages each word stands.
    private let frequency: [String: Int]

    init(_ passages: [Passage]) {
        self.passages = passages
        words = passages.map { Self.words(of: $0.title + " " + $0.text) }
        frequency = words.reduce(into: [:]) { counts, words in
            for word in words { counts[word, default: 0] += 1 }
        }
    }

    var needs: QueryNeeds { .text }

    func retrieve(_ queries: RetrievalQueries, count: Int) async throws -> RetrievalResult {
        let lists = zip(queries.texts, queries.excluded).map { text, excluded in
            let asked = Self.words(of: text)
            let found = passages.indices
                .filter { !excluded.contains(passages[$0].id) }
                .map { RetrievedPassage(passage: passages[$0], score: score(asked, $0)) }
            return Array(found.sorted(by: isBetter).prefix(count))
        }
        return RetrievalResult(lists)
    }

    private func score(_ asked: Set<String>, _ index: Int) -> Float {
        // In one order, so that the same sum comes out each time.
        asked.intersection(words[index]).sorted()
            .reduce(0) { $0 + 1 / Float(frequency[$1] ?? 1) }
    }

    /// Equal scores go by id: the same question always finds the same passages.
    private func isBetter(_ a: RetrievedPassage, _ b: RetrievedPassage) -> Bool {
        a.score == b.score ? a.passage.id < b.passage.id : a.score > b.score
    }

    private static func words(of text: String) -> Set<String> {
        Set(text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init))
    }
}

func checkRetriever() async throws {
    let queries = RetrievalQueries(
        texts: ["Where does the Danube flow?", "What does the otter eat?"])
    let contract = RetrieverContract(queries: queries, passages: passages.count, count: 3)
    try await contract.verify(WordRetriever(passages))
}
