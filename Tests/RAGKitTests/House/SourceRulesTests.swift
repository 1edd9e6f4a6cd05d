import Testing

/// What holds of every source.
@Suite struct SourceRulesTests {
    // MARK: Files are written in one place

    /// Where a file calls a writer of Foundation or C.
    ///
    /// The library's own writers are also called `write(to:)`: those of Foundation are told by what
    /// they are called on and by their labels.
    private func writers(in source: SwiftSource) -> [String] {
        let names: Set = [
            "createFile", "createDirectory", "removeItem", "moveItem", "copyItem", "replaceItem",
            "replaceItemAt", "trashItem", "linkItem", "createSymbolicLink", "setAttributes",
            "forWritingTo", "forWritingAtPath", "forUpdating", "forUpdatingAtPath", "OutputStream",
            "fopen", "mkdir", "unlink", "rmdir",
        ]
        return source.tokens.indices.compactMap { index in
            let token = source.tokens[index]
            let isNamed = names.contains(token.text) && ["(", ":"].contains(source.text(index + 1))
            guard isNamed || isWriteOfFoundation(source, at: index) else { return nil }
            return "\(source.path):\(token.line): \(token.text)"
        }
    }

    /// Whether `receiver.write(to…)` is that of `Data` or `String`.
    private func isWriteOfFoundation(_ source: SwiftSource, at index: Int) -> Bool {
        guard source.text(index) == "write", source.text(index - 1) == ".",
            source.text(index + 1) == "(", ["to", "toFile"].contains(source.text(index + 2))
        else { return false }
        var (place, open) = (index + 1, 0)
        repeat {
            let text = source.text(place)
            if text == "(" { open += 1 }
            if text == ")" { open -= 1 }
            let isLabel = ["toFile", "options", "atomically", "encoding"].contains(text)
            if open == 1, isLabel, source.text(place + 1) == ":" { return true }
            place += 1
        } while open > 0 && place < source.tokens.count
        // The name before it, or before the parentheses that end there.
        var receiver = index - 2
        if source.text(receiver) == ")" {
            var open = 1
            while open > 0, receiver > 0 {
                receiver -= 1
                if source.text(receiver) == ")" { open += 1 }
                if source.text(receiver) == "(" { open -= 1 }
            }
            receiver -= 1
        }
        let name = source.text(receiver).lowercased()
        return ["data", "string", "text", "encode", "\""].contains { name.hasSuffix($0) }
    }

    @Test func onlyTheRoomFilesWrites() throws {
        let sources = try SwiftSource.all(below: ["Sources/RAGKit"])
            .filter { !$0.path.hasPrefix("Sources/RAGKit/Files/") }
        let found = sources.flatMap(writers)
        for place in found {
            Issue.record("\(place): only Files writes; call AtomicFile or AtomicDirectory")
        }
    }

    @Test(arguments: [
        ("try Data(bytes).write(to: url, options: .atomic)", true),
        ("try Data(a.map { f($0) }).write(to: url)", true),
        ("try text.write(toFile: path, atomically: true, encoding: .utf8)", true),
        ("try JSONEncoder().encode(x).write(to: url)", true), ("try myData.write(to: url)", true),
        (
            "try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)",
            true
        ),
        ("let handle = try FileHandle(forWritingTo: url)", true),
        ("try AtomicFile.write(to: url) { sink in try sink.write(data) }", false),
        ("try configuration.write(to: directory)", false),
        ("FileHandle.standardError.write(Data(line.utf8))", false),
        ("try json.write(to: folder.appendingPathComponent(name))", false),
        ("// try Data(bytes).write(to: url)", false),
    ])
    func theCheckOfWritersFindsWhatItShould(text: String, isWriter: Bool) {
        let found = writers(in: SwiftSource(path: "A.swift", text: text))
        #expect(found.isEmpty != isWriter, "\(found)")
    }

    // MARK: Sizes

    @Test func filesAreShort() throws {
        let sources = try SwiftSource.all(below: ["Sources", "Tests", "Examples", "Benchmarks"])
        let long = sources.filter { $0.lineCount > 350 }.map { "\($0.path): \($0.lineCount) lines" }
        for file in long { Issue.record("\(file): split by idea") }
        let median = sources.map(\.lineCount).sorted()[sources.count / 2]
        #expect(median <= 120)
    }

    // MARK: Tags

    /// A test with the tag `.slow` has the trait that skips it in `Scripts/test.sh --fast`.
    @Test func slowTestsCanBeSkipped() throws {
        for source in try SwiftSource.all(below: ["Tests/RAGKitTests"]) {
            for (index, token) in source.tokens.enumerated()
            where token.text == "slow" && source.text(index - 1) == "." {
                let rest = source.tokens[index...].prefix(8).map(\.text)
                #expect(rest.contains("unlessFast"), "\(source.path):\(token.line)")
            }
        }
    }
}
