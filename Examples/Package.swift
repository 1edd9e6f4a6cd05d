// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let argumentParser: Target.Dependency =
    .product(name: "ArgumentParser", package: "swift-argument-parser")

/// A program in a folder of its own.
func program(_ target: String) -> Target {
    .executableTarget(
        name: target,
        dependencies: ["ExampleSupport", "RAGKit", argumentParser],
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "Examples",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "finetune-rag", targets: ["FinetuneRag"]),
        .executable(name: "eval-rag", targets: ["EvalRag"]),
        .executable(name: "answer", targets: ["Answer"]),
        .executable(name: "convert-checkpoint", targets: ["ConvertCheckpoint"]),
        .executable(name: "realm", targets: ["Realm"]),
        .executable(name: "marge", targets: ["Marge"]),
        .executable(name: "fid", targets: ["Fid"]),
    ],
    dependencies: [
        .package(name: "RAGKit", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        .target(
            name: "ExampleSupport", dependencies: ["RAGKit", argumentParser],
            swiftSettings: swiftSettings),
        program("FinetuneRag"),
        program("EvalRag"),
        program("Answer"),
        program("ConvertCheckpoint"),
        program("Realm"),
        program("Marge"),
        program("Fid"),
        .testTarget(
            name: "RealmTests", dependencies: ["Realm", "RAGKit"], exclude: ["Fixtures"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "ExamplesTests",
            dependencies: ["EvalRag", "ExampleSupport", "Fid", "Marge", "RAGKit"],
            swiftSettings: swiftSettings),
    ]
)
