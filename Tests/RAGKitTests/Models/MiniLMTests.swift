import Foundation
import Testing

@testable import RAGKit

/// The real all-MiniLM-L6-v2 against the reference: `Scripts/fetch-minilm.sh` says how to run it.
private enum MiniLM {
    static func encoder(_ role: EncoderRole) throws -> (DPREncoder, any Tokenizer, SafetensorsFile)
    {
        let folder = try #require(ExtraFiles.miniLM)
        return (
            try DPREncoder(contentsOf: folder, role: role),
            try AutoTokenizer.load(contentsOf: folder),
            try SafetensorsFile(contentsOf: folder.appendingPathComponent("expected.safetensors"))
        )
    }

    static func passages() throws -> [Passage] {
        let file = try #require(ExtraFiles.data).appendingPathComponent("passages.tsv")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").dropFirst()
        return lines.enumerated().map { index, line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            return Passage(id: PassageID(index), title: String(parts[1]), text: String(parts[2]))
        }
    }

    static func questions() throws -> [String] {
        let file = try #require(ExtraFiles.data).appendingPathComponent("qa-dev.jsonl")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONValue(parsing: String($0)).string("question"))
        }
    }

    /// Vectors of texts alone.
    static func vectors(
        _ texts: [String], _ encoder: DPREncoder, _ tokenizer: any Tokenizer
    ) throws -> Tensor {
        try encoder.vectors(
            of: TokenSequences(
                texts.map { tokenizer.encode($0, maxLength: encoder.maxTokens).ids }))
    }

    /// The smallest cosine between rows of the same place.
    static func worstCosine(_ a: Tensor, _ b: Tensor) -> Double {
        let (x, y) = (a.elements, b.elements)
        let width = a.dim(1)
        return (0..<a.dim(0)).map { row -> Double in
            var (product, one, other) = (0.0, 0.0, 0.0)
            for index in row * width..<(row + 1) * width {
                product += Double(x[index]) * Double(y[index])
                one += Double(x[index]) * Double(x[index])
                other += Double(y[index]) * Double(y[index])
            }
            return product / (one * other).squareRoot()
        }.min() ?? 1
    }
}

@Suite(
    .tags(.golden, .slow), .unlessFast,
    .enabled(if: ExtraFiles.miniLM != nil && ExtraFiles.data != nil))
struct MiniLMTests {
    @Test func textsAreTheReferences() throws {
        let (encoder, tokenizer, file) = try MiniLM.encoder(.context)
        let expected = try Tensor(StoredTensor(file.entry(named: "texts", dtype: .float32)))
        let texts = try MiniLM.passages().prefix(expected.dim(0)).map(\.text)
        let found = try MiniLM.vectors(texts, encoder, tokenizer)
        let worst = MiniLM.worstCosine(found, expected)
        print("MiniLM: smallest cosine of \(texts.count) texts: \(worst)")
        #expect(worst >= 0.99999)
    }

    /// Every question finds its passage among the best 1, 5 and 20 when it does in the reference.
    @Test func recallIsTheReferences() throws {
        let (encoder, tokenizer, file) = try MiniLM.encoder(.context)
        let passages = try MiniLM.passages()
        let vectors = try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: passages), with: encoder)
        let expected = try Tensor(StoredTensor(file.entry(named: "passages", dtype: .float32)))
        let worst = MiniLM.worstCosine(vectors, expected)
        print("MiniLM: smallest cosine of \(passages.count) passages: \(worst)")
        #expect(worst >= 0.99999)

        for (k, found) in try recall(vectors) {
            #expect(
                found.mine == found.theirs && found.differing == 0,
                "recall@\(k): \(found.differing) questions differ")
        }
    }

    /// Passages and questions encoded with rounded products are found as often, within noise.
    @Test(arguments: [Precision.bfloat16, .int8])
    func recallOfRoundedProducts(precision: Precision) throws {
        let (encoder, tokenizer, _) = try MiniLM.encoder(.context)
        let base = KnowledgeBase(passages: try MiniLM.passages())
        try withPrecision(precision) {
            let vectors = try PassageEncoder(tokenizer: tokenizer).encode(base, with: encoder)
            for (k, found) in try recall(vectors) {
                // Two standard deviations of as many coins is 1 in 100.
                #expect(abs(found.mine - found.theirs) <= found.questions / 100, "recall@\(k)")
            }
        }
    }

    /// How many questions find their passage among the best 1, 5 and 20 of `vectors` and in the
    /// reference, and for how many that differs.
    private func recall(
        _ vectors: Tensor
    ) throws -> [(k: Int, found: (mine: Int, theirs: Int, differing: Int, questions: Int))] {
        let questions = try MiniLM.questions()
        let (questionEncoder, tokenizer, file) = try MiniLM.encoder(.question)
        let hits = try FlatIndex(vectors).search(
            MiniLM.vectors(questions, questionEncoder, tokenizer), count: 20)
        let gold = try file.entry(named: "gold", dtype: .int64)
        let top = try file.entry(named: "top", dtype: .int64)
        return [1, 5, 20].map { k in
            var (mine, theirs, differing) = (0, 0, 0)
            for question in questions.indices {
                let wanted = gold.element(question, as: Int64.self)
                let found = hits[question].prefix(k).contains { $0.id.rawValue == Int(wanted) }
                let reference = (0..<k).contains {
                    top.element(question * 20 + $0, as: Int64.self) == wanted
                }
                mine += found ? 1 : 0
                theirs += reference ? 1 : 0
                differing += found == reference ? 0 : 1
            }
            print(
                "MiniLM, \(ForwardContext.current.precision): recall@\(k): \(mine) of "
                    + "\(questions.count), reference \(theirs), \(differing) differ")
            return (k, (mine, theirs, differing, questions.count))
        }
    }
}
