import Foundation
import Testing

/// The code of the guides is code that is compiled and run: by the package in Tests/Consumer.
@Suite struct GuideTests {
    private func lines(_ text: some StringProtocol) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }

    /// The fenced blocks of Swift.
    private func blocks(of article: String) -> [[String]] {
        article.split(separator: "```swift\n", omittingEmptySubsequences: false).dropFirst()
            .compactMap { $0.split(separator: "\n```", omittingEmptySubsequences: false).first }
            .map { lines($0) }
    }

    @Test func everyBlockStandsInTheConsumer() throws {
        let folder = Repository.folder.appendingPathComponent("Tests/Consumer/Sources/Consumer")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).map {
            lines(try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8))
        }
        let article = try String(
            contentsOf: Repository.folder.appendingPathComponent(
                "Sources/RAGKit/RAGKit.docc/YourOwnModel.md"), encoding: .utf8)
        let blocks = blocks(of: article)
        #expect(blocks.count >= 6)
        for block in blocks {
            #expect(
                files.contains { file in
                    block.count <= file.count
                        && (0...file.count - block.count).contains {
                            file[$0..<$0 + block.count].elementsEqual(block)
                        }
                }, "no file of Tests/Consumer holds the block that begins with: \(block[0])")
        }
    }
}
