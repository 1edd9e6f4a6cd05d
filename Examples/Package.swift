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
        .executable(name: "marge", targets: ["Marge"]),
        .executable(name: "fid", targets: ["Fid"]),
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
            name: "Marge",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "Fid",
            dependencies: [
                "ExampleSupport", "RAGKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "ExamplesTests", dependencies: ["Fid", "Marge", "RAGKit"],
            swiftSettings: swiftSettings),
    ]
)
