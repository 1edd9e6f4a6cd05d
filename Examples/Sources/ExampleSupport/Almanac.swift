import Foundation
import RAGKit

/// The bundled facts: each passage and question also as a template whose facts can be exchanged.
public struct Almanac: Sendable {
    /// The subject of one passage.
    public struct Thing: Sendable {
        public var id: PassageID
        public var kind: String
        public var title: String
        public var facts: [String: String]
        /// The passage with `{attribute}` in place of each fact.
        public var template: String
        /// The same in the second wording.
        public var templateB: String
        /// The split that the thing's questions belong to.
        public var split: String

        /// The passage in both wordings.
        public var texts: [String] {
            [template, templateB].map { template in
                facts.reduce(template.replacing("{title}", with: title)) {
                    $0.replacing("{\($1.key)}", with: $1.value)
                }
            }
        }
    }

    /// A question about one fact of a thing.
    public struct Question: Sendable {
        public var thing: Int
        public var attribute: String
        /// With `{title}` in place of the thing's name.
        public var template: String
        public var example: RagExample
    }

    public let things: [Thing]
    public let questions: [Question]
    private let ofKind: [String: [Int]]
    /// The templates of questions by kind and attribute.
    private let wordings: [String: [String: [String]]]

    /// Reads `things.jsonl` and the questions of one split.
    ///
    /// - Throws: `DatasetError` naming file and line.
    public init(directory: URL, split: String = "train") throws {
        let thingsFile = directory.appendingPathComponent("things.jsonl")
        things = try Self.rows(thingsFile).enumerated().map { index, row in
            guard let kind = row["kind"]?.stringValue, let title = row["title"]?.stringValue,
                let facts = row["facts"]?.objectValue, let text = row["template"]?.stringValue,
                let textB = row["template_b"]?.stringValue, let split = row["split"]?.stringValue
            else {
                throw DatasetError.invalidLine(
                    file: thingsFile.path, line: index + 1,
                    reason: "kind, title, split, facts, template and template_b are needed")
            }
            var values: [String: String] = [:]
            for (name, value) in facts { values[name] = value.stringValue }
            return Thing(
                id: PassageID(index), kind: kind, title: title, facts: values,
                template: text, templateB: textB, split: split)
        }
        let questionFile = directory.appendingPathComponent("\(split).jsonl")
        let examples = try RagExample.read(jsonLines: questionFile)
        questions = try zip(Self.rows(questionFile), examples).enumerated().map { index, pair in
            guard let attribute = pair.0["attribute"]?.stringValue,
                let template = pair.0["template"]?.stringValue,
                let id = pair.1.goldPassage?.rawValue
            else {
                throw DatasetError.invalidLine(
                    file: questionFile.path, line: index + 1,
                    reason: "attribute, template and id are needed")
            }
            return Question(
                thing: id, attribute: attribute, template: template, example: pair.1)
        }
        let known = things.indices
        if let wrong = questions.firstIndex(where: { !known.contains($0.thing) }) {
            throw DatasetError.invalidLine(
                file: questionFile.path, line: wrong + 1,
                reason: "id \(questions[wrong].thing) is no line of \(thingsFile.path)")
        }
        ofKind = Dictionary(grouping: things.indices) { [things] in things[$0].kind }
        wordings = Dictionary(grouping: questions) { [things] in things[$0.thing].kind }
            .mapValues { questions in
                Dictionary(grouping: questions, by: \.attribute).mapValues {
                    Set($0.map(\.template)).sorted()
                }
            }
    }

    /// The things with names and facts exchanged at random among those of each kind: an almanac of
    /// another world, in the same words.
    public func shuffledThings(using generator: inout some RandomNumberGenerator) -> [Thing] {
        var result = things
        for kind in ofKind.keys.sorted() {
            let members = ofKind[kind] ?? []
            for (place, donor) in zip(members, members.shuffled(using: &generator)) {
                result[place].title = things[donor].title
            }
            for attribute in Set(members.flatMap { things[$0].facts.keys }).sorted() {
                let holders = members.filter { things[$0].facts[attribute] != nil }
                for (place, donor) in zip(holders, holders.shuffled(using: &generator)) {
                    result[place].facts[attribute] = things[donor].facts[attribute]
                }
            }
        }
        return result
    }

    /// A passage with questions that it answers.
    public struct Reading: Sendable {
        public var passage: Passage
        public var questions: [(question: String, answer: String)]
    }

    /// A thing's passage with name and facts taken at random from other things of the kind, so that
    /// answers can only be found by reading: with the given question, and with questions about other
    /// facts of the same passage.
    ///
    /// - Parameters:
    ///   - sentences: keeps so many neighbouring sentences, the answer's among them.
    ///   - count: the most questions to ask; the given one comes first.
    public func rewritten(
        _ question: Question, sentences: Int = .max, questions count: Int = 1,
        using generator: inout some RandomNumberGenerator
    ) -> Reading? {
        let thing = things[question.thing]
        guard let others = ofKind[thing.kind],
            let namesake = others.randomElement(using: &generator)
        else { return nil }
        let title = things[namesake].title
        let template = Self.part(
            of: thing.template, around: "{\(question.attribute)}", sentences, using: &generator)
        var text = template.replacing("{title}", with: title)
        var values: [String: String] = [:]
        for attribute in thing.facts.keys.sorted() where template.contains("{\(attribute)}") {
            let donor = others.randomElement(using: &generator) ?? question.thing
            guard let value = things[donor].facts[attribute] ?? thing.facts[attribute] else {
                continue
            }
            text = text.replacing("{\(attribute)}", with: value)
            values[attribute] = value
        }
        guard let answer = values.removeValue(forKey: question.attribute) else { return nil }
        var asked = [(question.template, answer)]
        for attribute in values.keys.sorted().shuffled(using: &generator) where asked.count < count
        {
            let wordings = wordings[thing.kind]?[attribute] ?? []
            if let wording = wordings.randomElement(using: &generator),
                let value = values[attribute]
            {
                asked.append((wording, value))
            }
        }
        return Reading(
            passage: Passage(id: things[namesake].id, title: title, text: text),
            questions: asked.map { ($0.replacing("{title}", with: title), $1) })
    }

    /// Questions with their passages, each rewritten: matching names is all that can be learnt.
    ///
    /// - Parameter isAsked: which questions they are drawn from.
    public func pairs(
        _ count: Int, using generator: inout some RandomNumberGenerator,
        where isAsked: (Question) -> Bool = { _ in true }
    ) -> [InBatchNegativesTask.Pair] {
        let questions = questions.filter(isAsked)
        return (0..<count).compactMap { _ in
            questions.randomElement(using: &generator).flatMap {
                rewritten($0, using: &generator)
            }.map { .init(question: $0.questions[0].question, passage: $0.passage) }
        }
    }

    /// Some neighbouring sentences of a text, one of which holds `word`.
    private static func part(
        of text: String, around word: String, _ count: Int,
        using generator: inout some RandomNumberGenerator
    ) -> String {
        let sentences = text.split(separator: ". ")
        guard count < sentences.count,
            let place = sentences.firstIndex(where: { $0.contains(word) })
        else { return text }
        let first = Int.random(
            in: max(0, place - count + 1)...min(place, sentences.count - count), using: &generator)
        let part = sentences[first..<first + count].joined(separator: ". ")
        return part.hasSuffix(".") ? part : part + "."
    }

    private static func rows(_ file: URL) throws -> [JSONValue] {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else {
            throw DatasetError.missingFile(file.path)
        }
        return try text.split(separator: "\n").map {
            try JSONValue(parsing: String($0), file: file.path)
        }
    }
}
