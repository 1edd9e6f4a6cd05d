/// A refresh that was done.
public struct RefreshReport: Sendable, Equatable {
    /// The optimizer step whose context encoder made the vectors.
    public var step: Int
    /// The number of optimizer steps made when it came into use: more than `step` if training went on
    /// meanwhile.
    public var inUseFrom: Int
    /// The number of the version now in use.
    public var version: Int
    public var passages: Int
    public var seconds: Double
    /// The distance that the vectors moved: the root mean square of the differences over that of the
    /// old vectors, on a sample of at most 4,096 passages.
    public var drift: Double

    /// The report in the trainer's neutral form.
    var scalars: TrainingScalars {
        TrainingScalars(
            step: step, name: "refreshed",
            values: [
                "in_use_from": Double(inUseFrom), "index_version": Double(version),
                "passages": Double(passages), "seconds": seconds, "drift": drift,
            ])
    }
}
