/// A use of every step of a tokenizer, for the harnesses.
enum TokenizerProbe {
    private static let texts = [
        "", "a", " the  keeper's\t1987 \u{FB01}\u{301} e\u{301}x \u{0} 灯台 👩\u{200D}👧 <unk></s> ",
        "▁▁a<extra_id_0>b[CLS] <0x41>",
    ]

    static func use(_ tokenizer: some Tokenizer) {
        for text in texts {
            let ids = tokenizer.encode(text, pair: text, maxLength: 12).ids
            let size = Int32(clamping: tokenizer.vocabularySize)
            precondition(ids.allSatisfy { 0..<size ~= $0 }, "an id outside the vocabulary: \(ids)")
            _ = tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: true)
        }
        _ = tokenizer.decode([-1, 0, 1, 2, .max])
    }
}
