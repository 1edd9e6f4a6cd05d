/// The normalisation of a text before it is cut into words.
///
/// Characters are replaced by a map, white space at the end is stripped and runs of spaces are
/// joined, all in one pass over the UTF-8.
///
/// Source: `Precompiled`, `Strip` and `Replace` of `tokenizers` 0.20, in this order.
struct UnigramNormalizer: Sendable {
    /// The replacements of characters; `nil` if there are none.
    let characters: CharacterMap?
    let stripsEnd: Bool
    /// The replacement of two or more spaces; `nil` if they stay.
    let joinedSpaces: [UInt8]?

    /// True for each byte that never changes, whatever its neighbours are: most of ASCII.
    private let isPlain: [Bool]
    /// True if the map leaves a space as it is.
    private let keepsSpace: Bool

    init(characters: CharacterMap?, stripsEnd: Bool, joinedSpaces: [UInt8]?) {
        self.characters = characters
        self.stripsEnd = stripsEnd
        self.joinedSpaces = joinedSpaces
        func stays(_ byte: UInt8) -> Bool {
            [byte].withUnsafeBufferPointer { characters?.replacement(of: $0) == nil }
        }
        isPlain = (0..<256).map { (0x21..<0x7F).contains($0) && stays(UInt8($0)) }
        keepsSpace = stays(0x20)
    }

    /// Appends the normalised text.
    func normalize(_ text: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) {
        var writer = Writer(contentEnd: output.count, joinedSpaces: joinedSpaces)
        isPlain.withUnsafeBufferPointer { isPlain in
            var index = 0
            while index < text.count {
                var end = index
                while end < text.count, isPlain[Int(text[end])] { end += 1 }
                // The last of them may carry a mark.
                if characters != nil, end < text.count, text[end] >= 0x80, end > index { end -= 1 }
                if end > index {
                    writer.append(UnsafeBufferPointer(rebasing: text[index..<end]), to: &output)
                    index = end
                } else if text[index] == 0x20, keepsSpace, !isFollowedByMore(text, index) {
                    writer.spaces += 1
                    index += 1
                } else {
                    index = normalizeCluster(text, index, &writer, &output)
                }
            }
        }
        writer.finish(stripping: stripsEnd, &output)
    }

    private func isFollowedByMore(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Bool {
        characters != nil && index + 1 < text.count && text[index + 1] >= 0x80
    }

    /// - Returns: The end of the cluster.
    private func normalizeCluster(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ writer: inout Writer,
        _ output: inout [UInt8]
    ) -> Int {
        guard let characters else {
            var end = start
            writer.append(UTF8Scalar.next(in: text, at: &end), to: &output)
            return end
        }
        let end = GraphemeClusters.end(in: text, from: start)
        // Longer ones are no entries of a map; the limit is the reference's.
        if end - start < 6,
            let replacement = characters.replacement(
                of: UnsafeBufferPointer(rebasing: text[start..<end]))
        {
            writer.append(scalarsOf: characters.bytes(of: replacement), to: &output)
            return end
        }
        var index = start
        while index < end {
            let first = index
            let scalar = UTF8Scalar.next(in: text, at: &index)
            if let replacement = characters.replacement(
                of: UnsafeBufferPointer(rebasing: text[first..<index]))
            {
                writer.append(scalarsOf: characters.bytes(of: replacement), to: &output)
            } else {
                writer.append(scalar, to: &output)
            }
        }
        return end
    }
}

extension UnigramNormalizer {
    /// Holds spaces back until something follows them.
    private struct Writer {
        var spaces = 0
        /// The end of the last scalar that is not white space.
        var contentEnd: Int
        let joinedSpaces: [UInt8]?

        init(contentEnd: Int, joinedSpaces: [UInt8]?) {
            self.contentEnd = contentEnd
            self.joinedSpaces = joinedSpaces
        }

        @inline(__always)
        private mutating func flushSpaces(_ output: inout [UInt8]) {
            guard spaces > 0 else { return }
            if spaces > 1, let joinedSpaces {
                output += joinedSpaces
            } else {
                for _ in 0..<spaces { output.append(0x20) }
            }
            spaces = 0
        }

        /// Appends text without white space.
        @inline(__always)
        mutating func append(_ text: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
            flushSpaces(&output)
            output.append(contentsOf: text)
            contentEnd = output.count
        }

        mutating func append(_ scalar: UInt32, to output: inout [UInt8]) {
            if scalar == 0x20 {
                spaces += 1
                return
            }
            flushSpaces(&output)
            UTF8Scalar.append(scalar, to: &output)
            if !ScalarClass.of(scalar, in: ScalarClass.table).contains(.whitespace) {
                contentEnd = output.count
            }
        }

        mutating func append(scalarsOf text: ArraySlice<UInt8>, to output: inout [UInt8]) {
            text.withUnsafeBufferPointer { text in
                var index = 0
                while index < text.count {
                    append(UTF8Scalar.next(in: text, at: &index), to: &output)
                }
            }
        }

        mutating func finish(stripping: Bool, _ output: inout [UInt8]) {
            if stripping {
                output.removeLast(output.count - contentEnd)
            } else {
                flushSpaces(&output)
            }
        }
    }
}
