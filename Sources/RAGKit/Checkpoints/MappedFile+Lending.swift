import RAGKitBLAS

extension MappedFile: MemoryLender {
    /// Lets the pages go: weights that training has replaced would else count as memory of the process
    /// as long as any tensor of the file is in use. Whoever reads them again reads the file again.
    func takeBack(_ bytes: UnsafeRawBufferPointer) {
        guard access == .mapped, let start = bytes.baseAddress else { return }
        ragkit_release_pages(start, bytes.count)
    }
}
