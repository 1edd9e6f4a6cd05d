import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

struct Safetensors: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a model's directory with safetensors in place of pytorch_model.bin.",
        discussion: """
            Every folder inside is gone through, and files other than weights are copied as they are.
            Numbers keep their type. Tied weights are written once, as transformers does.
            """)

    @Argument(help: "The directory of a model.")
    var source: String

    @Option(help: "The directory to write.")
    var dest: String

    @Flag(help: "Replace the directory, with everything in it, if it is there.")
    var overwrite = false

    @Flag(help: "Print one JSON object with what was written.")
    var json = false

    func run() async throws {
        try await reporting("convert-checkpoint") {
            var converted: [(folder: String, tensors: Int, tied: [String])] = []
            try AtomicDirectory.write(to: URL(fileURLWithPath: dest), replacing: overwrite) {
                try convert(URL(fileURLWithPath: source), "", into: $0, &converted)
                guard !converted.isEmpty else {
                    throw ProgramError(
                        "'\(source)' has no pytorch_model.bin or pytorch_model.bin.index.json")
                }
            }
            report(converted)
        }
    }

    /// Converts the weights of a folder, copies its other files, and goes into its folders.
    private func convert(
        _ folder: URL, _ name: String, into target: URL,
        _ converted: inout [(folder: String, tensors: Int, tied: [String])]
    ) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        let isPickled =
            names.contains("pytorch_model.bin")
            || names.contains("pytorch_model.bin.index.json")
        if isPickled {
            guard !names.contains("model.safetensors") else {
                throw ProgramError("'\(folder.path)' has a model.safetensors already")
            }
            let weights = try ModelWeights(directory: folder)
            let tied = try weights.write(to: target.appendingPathComponent("model.safetensors"))
            converted.append((name, weights.names.count - tied.count, tied.map(\.name)))
        }
        for entry in names where !(isPickled && entry.hasPrefix("pytorch_model")) {
            let (from, to) = (
                folder.appendingPathComponent(entry), target.appendingPathComponent(entry)
            )
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: from.path, isDirectory: &isFolder)
            if isFolder.boolValue {
                try FileManager.default.createDirectory(at: to, withIntermediateDirectories: false)
                try convert(from, name.isEmpty ? entry : "\(name)/\(entry)", into: to, &converted)
            } else {
                try FileManager.default.copyItem(at: from.resolvingSymlinksInPath(), to: to)
            }
        }
    }

    private func report(_ converted: [(folder: String, tensors: Int, tied: [String])]) {
        guard !json else {
            let folders = converted.map { folder -> JSONValue in
                [
                    "folder": .string(folder.folder), "tensors": .int(folder.tensors),
                    "tied": .array(folder.tied.map { .string($0) }),
                ]
            }
            return print((["dest": .string(dest), "folders": .array(folders)] as JSONValue).text())
        }
        for folder in converted {
            let place = folder.folder.isEmpty ? "" : "\(folder.folder)/"
            print("\(place)model.safetensors: \(folder.tensors) tensors")
            if !folder.tied.isEmpty {
                print("  left out, since tied: \(folder.tied.joined(separator: ", "))")
            }
        }
        print("written to \(dest)")
    }
}
