// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "RAGKit",
    platforms: [.macOS(.v15), .iOS(.v18)],
    products: [.library(name: "RAGKit", targets: ["RAGKit"])],
    targets: [
        .target(
            name: "RAGKitBLAS",
            linkerSettings: [
                .linkedLibrary("openblas", .when(platforms: [.linux])),
                .linkedLibrary("m", .when(platforms: [.linux])),
                .linkedFramework("Accelerate", .when(platforms: [.macOS, .iOS])),
            ]
        ),
        .target(name: "RAGKit", dependencies: ["RAGKitBLAS"], swiftSettings: swiftSettings),
        .testTarget(
            name: "RAGKitTests",
            dependencies: ["RAGKit", "RAGKitBLAS"],
            exclude: ["Fixtures"],
            swiftSettings: swiftSettings
        ),
    ]
)
