/// The side of retrieval that an encoder serves; checkpoints name its weights accordingly.
public enum EncoderRole: String, Sendable {
    case question
    case context

    /// The first part of the names in a DPR checkpoint.
    var checkpointKey: String { self == .question ? "question_encoder" : "ctx_encoder" }
    /// The class that transformers loads it with.
    var architecture: String { self == .question ? "DPRQuestionEncoder" : "DPRContextEncoder" }
}
