import Testing

/// A room, a folder of `Sources/RAGKit`, uses itself and the rooms before it.
@Suite struct RoomOrderTests {
    /// Rooms of one line know each other.
    static let order = [
        ["Concurrency"], ["Files"], ["Tensor", "Autograd", "Profiling"], ["Operators"],
        ["Modules"], ["Optimizers"], ["Checkpoints"], ["Tokenizers"], ["Models"], ["Generation"],
        ["KnowledgeBase"], ["Index"], ["Retrieval"], ["RAG"], ["Evaluation"], ["Training"],
    ]

    /// What rooms declare at the top level for others to use, and the uses of it against the order.
    struct Rooms {
        private var rank: [String: Int] = [:]
        /// The rooms that declare a type or function at the top level.
        private var owners: [String: Set<String>] = [:]
        /// The types that each room declares, nested and private ones too.
        private var declared: [String: Set<String>] = [:]

        init(_ sources: [SwiftSource], order: [[String]]) {
            for (place, rooms) in order.enumerated() {
                for room in rooms { rank[room] = place }
            }
            for source in sources { note(source) }
        }

        static func name(of source: SwiftSource) -> String {
            let parts = source.path.split(separator: "/")
            return parts.count > 3 ? String(parts[2]) : "no folder"
        }

        private mutating func note(_ source: SwiftSource) {
            let keywords: Set = [
                "class", "struct", "enum", "protocol", "actor", "typealias", "func",
            ]
            let room = Self.name(of: source)
            for (index, token) in source.tokens.enumerated()
            where keywords.contains(token.text) && source.text(index - 1) != "." {
                let name = source.text(index + 1)
                if token.text != "func" { declared[room, default: []].insert(name) }
                let words = source.tokens[..<index].reversed().prefix { $0.line == token.line }
                let isPrivate = words.contains { ["private", "fileprivate"].contains($0.text) }
                if token.depth == 0, !isPrivate { owners[name, default: []].insert(room) }
            }
        }

        /// The uses against the order in a file, each with line, name and both rooms.
        func violations(in source: SwiftSource) -> [String] {
            let room = Self.name(of: source)
            guard let own = rank[room] else {
                return ["\(source.path): '\(room)' is no room of RoomOrderTests.order"]
            }
            return source.tokens.indices.compactMap { index in
                let (token, before) = (source.tokens[index], source.text(index - 1))
                guard let rooms = owners[token.text], rooms.count == 1, let other = rooms.first,
                    let rank = rank[other], rank > own, before != ".", before != "func",
                    declared[room]?.contains(token.text) != true
                else { return nil }
                let isFunction = token.text.first?.isLowercase == true
                guard !isFunction || source.text(index + 1) == "(" else { return nil }
                return "\(source.path):\(token.line): \(room) uses \(token.text) of \(other)"
            }
        }
    }

    @Test func aRoomUsesOnlyRoomsBeforeIt() throws {
        let sources = try SwiftSource.all(below: ["Sources/RAGKit"])
        #expect(sources.count > 100)
        let rooms = Rooms(sources, order: Self.order)
        for use in sources.flatMap(rooms.violations) { Issue.record("\(use)") }
    }

    /// The check itself: what it must find, and what it must not.
    @Test func theCheckFindsWhatItShould() {
        func source(_ room: String, _ text: String) -> SwiftSource {
            SwiftSource(path: "Sources/RAGKit/\(room)/File.swift", text: text)
        }
        let late = source(
            "RAG",
            """
            public struct Late { struct Inner {} }
            func lateFunction() {}
            private struct Hidden {}
            """)
        let cases = [
            ("let x = 1\nlet y: Late", ["2: Files uses Late of RAG"]),
            ("let text = \"\\(Late(\"a\")) Late\"", ["1: Files uses Late of RAG"]),
            ("func f() { lateFunction() }", ["1: Files uses lateFunction of RAG"]),
            ("// Late\n/* Late /* Late */ Late */\nlet a = #\"Late \\(Late)\"#", []),
            ("let a = \"\"\"\n  Late \"Late\"\n  \"\"\"\nlet b = other.Late, lateFunction = 1", []),
            ("struct A { struct Late {} }\nlet late: Late", []), ("let a: Hidden, b: Inner", []),
        ]
        for (text, expected) in cases {
            let early = source("Files", text)
            let rooms = Rooms([early, late], order: [["Files"], ["RAG"]])
            let found = rooms.violations(in: early)
            #expect(found == expected.map { "Sources/RAGKit/Files/File.swift:\($0)" })
            #expect(rooms.violations(in: late).isEmpty)
            let together = Rooms([early, late], order: [["Files", "RAG"]])
            #expect(together.violations(in: early).isEmpty)
        }
        let lost = source("Elsewhere", "let a = 1")
        #expect(Rooms([lost], order: Self.order).violations(in: lost).count == 1)
    }
}
