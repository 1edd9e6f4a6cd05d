// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "Examples",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "finetune-rag", targets: ["FinetuneRag"]),
        .executable(name: "eval-rag", targets: ["EvalRag"]),
        .executable(name: "answer", targets: ["Answer"]),
        .executable(name: "convert-checkpoint", targets: ["ConvertCheckpoint"]),
    ],
    dependencies: [
        .package(name: "RAGKit", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        .target(
            name: "ExampleSupport", dependencies: ["RAGKit"], swiftSettings: swiftSettings),
        .executableTarget(
            name: "FinetuneRag",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "EvalRag",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Answer",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "ConvertCheckpoint",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
    ]
)
