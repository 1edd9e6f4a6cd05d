import Foundation

/// Folders of files that are too large for the repository, each named by an environment variable.
///
/// Tests that need one are skipped without it.
enum ExtraFiles {
    /// More folders like those of `Fixtures/golden`.
    static let golden = folder("RAGKIT_GOLDEN")
    /// The tokenizers `bert-base-uncased`, `bart-base`, `gpt2` and `t5-small`, a folder each.
    static let vocabularies = folder("RAGKIT_VOCABULARIES")
    /// The model that `Scripts/fetch-minilm.sh` fetches.
    static let miniLM = folder("RAGKIT_MINILM")
    /// Passages and questions of SQuAD: `passages.tsv` and `qa-dev.jsonl`.
    static let data = folder("RAGKIT_MINILM_DATA")
    /// The checkpoint that `Fixtures/real-size/make_real_size.py` makes.
    static let realSize = folder("RAGKIT_REAL_SIZE")

    /// True if `folder` is given and holds a file or folder called `name`.
    static func has(_ name: String, in folder: URL?) -> Bool {
        guard let url = folder?.appendingPathComponent(name) else { return false }
        return FileManager.default.fileExists(atPath: url.path)
    }

    private static func folder(_ variable: String) -> URL? {
        ProcessInfo.processInfo.environment[variable].map { URL(fileURLWithPath: $0) }
    }
}
