// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func program(_ name: String) -> Target {
    .executableTarget(
        name: name, dependencies: ["BenchmarkSupport", "RAGKit"], swiftSettings: swiftSettings)
}

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
        program("TrainStep"),
        program("Generate"),
        program("Encode"),
        program("Growth"),
        program("Optimizer"),
        program("Seq2Seq"),
        .executableTarget(
            name: "Tokenize", dependencies: ["RAGKit"], swiftSettings: swiftSettings),
    ]
)
