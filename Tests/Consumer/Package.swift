// swift-tools-version: 6.2
import PackageDescription

// A package of somebody who uses RAGKit. It builds against a tag of the git repository that
// RAGKIT_REPOSITORY names (RAGKIT_TAG says which), as a real one would; without the variable against
// the checkout it lies in.
let ragkit: Package.Dependency =
    if let repository = Context.environment["RAGKIT_REPOSITORY"] {
        .package(
            url: repository,
            exact: Version(stringLiteral: Context.environment["RAGKIT_TAG"] ?? "0.0.1"))
    } else {
        .package(name: "RAGKit", path: "../..")
    }

let package = Package(
    name: "Consumer",
    platforms: [.macOS(.v15)],
    dependencies: [ragkit],
    targets: [
        .executableTarget(
            name: "Consumer",
            dependencies: [.product(name: "RAGKit", package: "RAGKit")],
            // Without NonisolatedNonsendingByDefault, which RAGKit has: most packages do not set it.
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)])
    ]
)
