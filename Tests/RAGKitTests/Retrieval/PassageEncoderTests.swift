import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// Counts what it encodes.
private final class CountingTokenizer: Tokenizer {
    private let inner: any Tokenizer
    private let calls = Mutex(0)

    init(_ inner: any Tokenizer) { self.inner = inner }

    var count: Int { calls.withLock { $0 } }
    var specialTokens: SpecialTokens { inner.specialTokens }
    var vocabularySize: Int { inner.vocabularySize }
    var modelMaxLength: Int? { inner.modelMaxLength }
    var fingerprint: String { inner.fingerprint }

    func ids(of text: String) -> [Int32] { inner.ids(of: text) }
    func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding {
        calls.withLock { $0 += 1 }
        return inner.encode(text, pair: pair, maxLength: maxLength)
    }
    func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String {
        inner.decode(
            ids, skippingSpecialTokens: skippingSpecialTokens, cleaningUp: cleaningUp)
    }
    func save(to directory: URL) throws { try inner.save(to: directory) }
}

@Suite struct PassageEncoderTests {
    /// Passages from one word to many, in no order of length.
    private func base(_ count: Int = 23) -> KnowledgeBase {
        let words = "the moon pulls the sea up on both sides of the earth".split(separator: " ")
        return KnowledgeBase(
            passages: (0..<count).map { place in
                let length = 1 + (place * 7) % 17
                let text = (0..<length).map { words[($0 + place) % words.count] }
                return Passage(
                    id: PassageID(place), title: "Part \(place)",
                    text: text.joined(separator: " "))
            })
    }

    private func encoder(dropout: Float = 0) throws -> (PassageEncoder, DPREncoder) {
        let tokenizer = try TinyRag.tokenizer("question_encoder_tokenizer")
        let encoder = TinyRag.encoder(
            .context, vocabulary: tokenizer.vocabularySize, dropout: dropout, seed: 6)
        return (PassageEncoder(tokenizer: tokenizer), encoder)
    }

    /// A passage's row is what the encoder makes of it alone, whatever the batches.
    @Test(arguments: [1, 40, 100, 4096])
    func rowsDoNotDependOnBatches(tokensPerBatch: Int) throws {
        var (encoding, encoder) = try encoder()
        let base = base()
        encoding.tokensPerBatch = tokensPerBatch
        let found = try encoding.encode(base, with: encoder)
        #expect(found.shape == [base.count, encoder.dimension] && !found.isRecorded)
        for row in 0..<base.count {
            let ids = encoding.ids(of: try base.passage(PassageID(row)), for: encoder)
            expectClose(
                found.slice(row..<row + 1), encoder(TokenBatch([ids])), relative: 1e-5,
                ofRootMeanSquare: 1e-5, "row \(row)")
        }
    }

    /// In evaluation mode also from inside a training scope.
    @Test func dropoutIsOff() throws {
        let (encoding, encoder) = try encoder(dropout: 0.3)
        let first = try encoding.encode(base(), with: encoder)
        let second = try ForwardContext.$scoped.withValue(
            ForwardContext(isTraining: true, seed: 4)
        ) { try encoding.encode(base(), with: encoder) }
        expectClose(second, first, relative: 1e-5)
    }

    /// Title and text as a pair, the longer of the two cut first.
    @Test func idsOfAPassage() throws {
        let (encoding, encoder) = try encoder()
        let tokenizer = encoding.tokenizer
        let short = Passage(id: 0, title: "Tides", text: "The moon")
        #expect(
            encoding.ids(of: short, for: encoder)
                == tokenizer.encode("Tides", pair: "The moon").ids)
        let long = Passage(
            id: 0, title: "Tides", text: String(repeating: "moon ", count: 100))
        let ids = encoding.ids(of: long, for: encoder)
        #expect(ids.count == encoder.maxTokens)
        let title = tokenizer.encode("Tides").ids
        #expect(Array(ids.prefix(title.count)) == title)
        let empty = Passage(id: 0, title: "", text: "")
        #expect(encoding.ids(of: empty, for: encoder).count == 3)
    }

    /// A passage is tokenized once for a base, in its own file if that is asked for, and again for an
    /// encoder that takes another length.
    @Test func idsAreKeptWithTheBase() throws {
        let (encoding, encoder) = try encoder()
        let counting = CountingTokenizer(encoding.tokenizer)
        let counted = PassageEncoder(tokenizer: counting)
        let memory = base()
        let first = try counted.encode(memory, with: encoder)
        #expect(counting.count == 23)
        expectIdentical(try counted.encode(memory, with: encoder), first)
        #expect(counting.count == 23)
        expectIdentical(try encoding.encode(base(), with: encoder), first)

        let place = try TemporaryDirectory()
        try base().save(to: place.url)
        let stored = try KnowledgeBase(contentsOf: place.url)
        _ = try counted.tokens(of: stored, for: encoder, storage: .besidePassages)
        #expect(counting.count == 46)
        let opened = try KnowledgeBase(contentsOf: place.url)
        expectIdentical(try counted.encode(opened, with: encoder), first)
        #expect(counting.count == 46)
        for row in 0..<opened.count {
            #expect(
                try counted.tokens(of: opened, for: encoder)[row]
                    == encoding.ids(of: try opened.passage(PassageID(row)), for: encoder))
        }

        let shorter = TinyRag.encoder(
            .context, vocabulary: counting.vocabularySize, seed: 6, maxTokens: 9)
        let tokens = try counted.tokens(of: memory, for: shorter)
        #expect(
            counting.count > 46 && (0..<23).allSatisfy { tokens.length(at: $0) <= 9 })
    }

    /// Ids are taken from the base for its own passages alone: not for one whose words were changed,
    /// one with an id beyond it, or where the base has ids that were cut to another length.
    @Test func idsOfFoundPassagesComeFromTheBase() throws {
        let (encoding, encoder) = try encoder()
        let counting = CountingTokenizer(encoding.tokenizer)
        let counted = PassageEncoder(tokenizer: counting)
        let base = base()
        let found = try [20, 3, 7].map { try base.passage($0) }
        let source = RetrievalSource(knowledgeBase: base)
        let expected = found.map { encoding.ids(of: $0, for: encoder) }
        #expect(counted.ids(of: found, for: encoder, from: source) == expected)
        #expect(counting.count == 3)

        _ = try counted.tokens(of: base, for: encoder)
        #expect(counting.count == 26)
        #expect(counted.ids(of: found, for: encoder, from: source) == expected)
        #expect(counting.count == 26)
        #expect(counted.ids(of: found, for: encoder, from: nil) == expected)
        #expect(counting.count == 29)

        var changed = found[1]
        changed.text += " twice a day"
        let foreign = Passage(id: 23, title: "Tides", text: "The moon")
        #expect(
            counted.ids(of: [found[0], changed, foreign], for: encoder, from: source)
                == [found[0], changed, foreign].map { encoding.ids(of: $0, for: encoder) })
        #expect(counting.count == 31)

        let shorter = TinyRag.encoder(
            .context, vocabulary: counting.vocabularySize, seed: 6, maxTokens: 9)
        #expect(
            counted.ids(of: found, for: shorter, from: source)
                == found.map { encoding.ids(of: $0, for: shorter) })
        #expect(counting.count == 34)
    }

    /// What a training step found is not tokenized for the context encoder if an index was made of it.
    @Test func evidenceTakesIDsFromTheRetrieversBase() async throws {
        let model = try TinyRag.model()
        let tokenizer = CountingTokenizer(try TinyRag.tokenizer("question_encoder_tokenizer"))
        model.setContextEncoderTokenizer(tokenizer)
        let encoder = try #require(model.contextEncoder)
        let retriever = try #require(model.retriever as? DenseRetriever)
        let found = try await model.retrieve(TinyRag.questions)
        let before = try model.evidence(TinyRag.questions, passages: found)
        #expect(tokenizer.count > 0)
        _ = try PassageEncoder(tokenizer: tokenizer)
            .encode(retriever.knowledgeBase, with: encoder)
        let count = tokenizer.count
        let after = try model.evidence(TinyRag.questions, passages: found)
        #expect(tokenizer.count == count)
        #expect(after.contextEncoderInputs == before.contextEncoderInputs)
    }

    @Test func progressAndStop() throws {
        struct Stop: Error {}
        var (encoding, encoder) = try encoder()
        encoding.tokensPerBatch = 60
        var done: [Int] = []
        _ = try encoding.encode(base(), with: encoder) { done.append($0) }
        #expect(done.last == 23 && done == done.sorted() && done.count > 3)
        #expect(throws: Stop.self) {
            _ = try encoding.encode(base(), with: encoder) { if $0 > 5 { throw Stop() } }
        }
        let none = try encoding.encode(KnowledgeBase(passages: []), with: encoder)
        #expect(none.shape == [0, encoder.dimension])
    }
}
