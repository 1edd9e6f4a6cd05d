// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Benchmarks",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "train-step", targets: ["TrainStep"]),
        .executable(name: "generate", targets: ["Generate"]),
    ],
    dependencies: [.package(name: "RAGKit", path: "..")],
    targets: [
        .executableTarget(
            name: "TrainStep", dependencies: ["RAGKit"],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]),
        .executableTarget(
            name: "Generate", dependencies: ["RAGKit"],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]),
    ]
)
