import RAGKitBLAS

/// The numeric kernels that this process runs, for bug reports and logs.
public enum NumericKernels {
    /// The instruction level in use, and the BLAS library behind processors without one.
    public static var description: String { String(cString: ragkit_description()) }

    /// The number of threads that share the work.
    public static var threadCount: Int { Int(ragkit_thread_count()) }
}
