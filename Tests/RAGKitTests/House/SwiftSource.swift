import Foundation

/// A Swift file of the repository as words and punctuation, without comments and the text of strings.
struct SwiftSource: Sendable {
    struct Token: Sendable {
        var text: String
        /// Counted from 1.
        var line: Int
        /// How many braces are open.
        var depth: Int
    }

    /// The path inside the repository.
    let path: String
    let lineCount: Int
    let tokens: [Token]

    init(path: String, text: String) {
        self.path = path
        var scanner = Scanner(text)
        tokens = scanner.run()
        lineCount = text.utf8.count { $0 == UInt8(ascii: "\n") }
    }

    /// The text of token `index`, empty beyond the ends.
    func text(_ index: Int) -> String { tokens.indices.contains(index) ? tokens[index].text : "" }

    /// Every Swift file below folders of the repository, but for hidden folders such as `.build`.
    static func all(below folders: [String]) throws -> [SwiftSource] {
        try folders.flatMap { folder in
            let root = Repository.folder.appendingPathComponent(folder)
            return try FileManager.default.subpathsWithoutHiddenFolders(of: root).sorted().map {
                let text = try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8)
                return SwiftSource(path: "\(folder)/\($0)", text: text)
            }
        }
    }
}

extension FileManager {
    fileprivate func subpathsWithoutHiddenFolders(of root: URL, _ folder: String = "") throws
        -> [String]
    {
        let names = try contentsOfDirectory(atPath: root.appendingPathComponent(folder).path)
        return try names.filter { !$0.hasPrefix(".") }.flatMap { name -> [String] in
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            if name.hasSuffix(".swift") { return [path] }
            var isFolder: ObjCBool = false
            let place = root.appendingPathComponent(path).path
            guard fileExists(atPath: place, isDirectory: &isFolder), isFolder.boolValue else {
                return []
            }
            return try subpathsWithoutHiddenFolders(of: root, path)
        }
    }
}

/// Splits Swift into tokens. An interpolation is code within a string.
private struct Scanner {
    private enum Context {
        case code(parentheses: Int)
        case string(quotes: Int, pounds: Int)
    }

    private let bytes: [UInt8]
    private var (index, line, depth) = (0, 1, 0)
    private var contexts = [Context.code(parentheses: 0)]
    private var tokens: [SwiftSource.Token] = []

    init(_ text: String) { bytes = Array(text.utf8) }

    mutating func run() -> [SwiftSource.Token] {
        while index < bytes.count {
            switch contexts[contexts.count - 1] {
            case .code(let parentheses): code(parentheses)
            case .string(let quotes, let pounds): string(quotes, pounds)
            }
        }
        return tokens
    }

    private func starts(_ text: StaticString, at place: Int) -> Bool {
        place + text.utf8CodeUnitCount <= bytes.count
            && (0..<text.utf8CodeUnitCount).allSatisfy { bytes[place + $0] == text.utf8Start[$0] }
    }

    private func count(of byte: UInt8, at place: Int) -> Int {
        bytes[min(place, bytes.count)...].prefix { $0 == byte }.count
    }

    private func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    private mutating func code(_ parentheses: Int) {
        let byte = bytes[index]
        if byte == UInt8(ascii: "\n") { line += 1 }
        if starts("//", at: index) {
            while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
        } else if starts("/*", at: index) {
            comment()
        } else if isWord(byte) {
            let start = index
            while index < bytes.count, isWord(bytes[index]) { index += 1 }
            append(String(decoding: bytes[start..<index], as: UTF8.self))
        } else {
            let pounds = count(of: UInt8(ascii: "#"), at: index)
            if starts("\"", at: index + pounds) {
                let quotes = starts("\"\"\"", at: index + pounds) ? 3 : 1
                contexts.append(.string(quotes: quotes, pounds: pounds))
                append("\"")
                index += pounds + quotes
            } else {
                punctuation(byte, parentheses)
                index += 1
            }
        }
    }

    private mutating func punctuation(_ byte: UInt8, _ parentheses: Int) {
        let last = contexts.count - 1
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"): return
        case UInt8(ascii: "("): contexts[last] = .code(parentheses: parentheses + 1)
        case UInt8(ascii: ")"):
            if parentheses == 0, last > 0 {
                contexts.removeLast()
                return
            }
            contexts[last] = .code(parentheses: parentheses - 1)
        case UInt8(ascii: "}"): depth -= 1
        default: break
        }
        append(String(UnicodeScalar(byte)))
        if byte == UInt8(ascii: "{") { depth += 1 }
    }

    private mutating func append(_ text: String) {
        tokens.append(.init(text: text, line: line, depth: depth))
    }

    private mutating func comment() {
        var open = 0
        repeat {
            if starts("/*", at: index) {
                (open, index) = (open + 1, index + 2)
            } else if starts("*/", at: index) {
                (open, index) = (open - 1, index + 2)
            } else {
                if bytes[index] == UInt8(ascii: "\n") { line += 1 }
                index += 1
            }
        } while open > 0 && index < bytes.count
    }

    private mutating func string(_ quotes: Int, _ pounds: Int) {
        let byte = bytes[index]
        let isEnd =
            (quotes == 3 ? starts("\"\"\"", at: index) : byte == UInt8(ascii: "\""))
            && count(of: UInt8(ascii: "#"), at: index + quotes) >= pounds
        if isEnd {
            contexts.removeLast()
            index += quotes + pounds
        } else if byte == UInt8(ascii: "\\"),
            count(of: UInt8(ascii: "#"), at: index + 1) >= pounds
        {
            let escaped = index + 1 + pounds
            if starts("(", at: escaped) { contexts.append(.code(parentheses: 0)) }
            if starts("\n", at: escaped) { line += 1 }
            index = escaped + 1
        } else {
            if byte == UInt8(ascii: "\n") {
                line += 1
                if quotes == 1 { contexts.removeLast() }
            }
            index += 1
        }
    }
}
