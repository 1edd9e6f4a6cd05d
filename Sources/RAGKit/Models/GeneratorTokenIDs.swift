/// The ids of a generator's special tokens.
public struct GeneratorTokenIDs: Sendable, Equatable {
    /// The token that begins a target; `nil` if the generator has none, as T5.
    public var bos: Int32?
    /// The token that ends a sequence.
    public var eos: Int32
    /// The token that fills up sequences where they are padded.
    public var pad: Int32
    /// The token that every decoded sequence begins with.
    public var decoderStart: Int32

    public init(bos: Int32?, eos: Int32, pad: Int32, decoderStart: Int32) {
        self.bos = bos
        self.eos = eos
        self.pad = pad
        self.decoderStart = decoderStart
    }
}
