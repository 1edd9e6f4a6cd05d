import RAGKit

/// A model behind an actor, as a server would hold it.
actor Assistant {
    private let rag: RagModel

    init(_ rag: sending RagModel) { self.rag = rag }

    /// Trains three steps end to end, with a new index after the second.
    func train() async throws -> [Double] {
        let task = try RagTrainingTask(rag, refresh: .blocking(every: 2))
        return try await Trainer(task, examples: examples, arguments: threeSteps).fit().losses
    }

    func answer(_ question: String) async throws -> RagAnswer? {
        try await rag.answer([question]).first
    }
}
