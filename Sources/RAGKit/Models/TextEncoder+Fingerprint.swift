extension TextEncoder {
    /// A digest of all weights: names the encoder that made an index. The same bits give the same
    /// digest in every process.
    var fingerprint: String {
        var checksum = CRC32C()
        for (name, parameter) in namedValues() {
            Array(name.utf8).withUnsafeBytes { checksum.update($0) }
            parameter.value.withUnsafeElements { checksum.update(UnsafeRawBufferPointer($0)) }
        }
        return String(checksum.value, radix: 16)
    }
}
