// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "Benchmarks",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "train-step", targets: ["TrainStep"]),
        .executable(name: "generate", targets: ["Generate"]),
        .executable(name: "encode", targets: ["Encode"]),
        .executable(name: "growth", targets: ["Growth"]),
        .executable(name: "optimizer", targets: ["Optimizer"]),
        .executable(name: "seq2seq", targets: ["Seq2Seq"]),
        .executable(name: "tokenize", targets: ["Tokenize"]),
    ],
    dependencies: [.package(name: "RAGKit", path: "..")],
    targets: [
        .target(
            name: "BenchmarkSupport", dependencies: ["RAGKit"], swiftSettings: swiftSettings),
        .executableTarget(
            name: "TrainStep", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Generate", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Encode", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Growth", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Optimizer", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Seq2Seq", dependencies: ["BenchmarkSupport", "RAGKit"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Tokenize", dependencies: ["RAGKit"], swiftSettings: swiftSettings),
    ]
)
