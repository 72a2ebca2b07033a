// swift-tools-version: 6.2
import PackageDescription

// MARK: Settings shared by every target

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

// MARK: C modules: nothing but a module map and shim.h

let cModules: [Target] = [
    .systemLibrary(name: "CFastCGI", pkgConfig: "fcgi", providers: [.apt(["libfcgi-dev"])]),
    .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
]

// MARK: Runtime and wrappers: a module imports only what stands above it

let foundation: [Target] = [
    library("Runtime", ["CFastCGI", log]),
    library("Postgres", ["CPostgres", "Runtime"]),
    library("Outbound", ["CCurl", "Runtime"]),
    library("Migrations", ["Postgres", crypto]),
    library("Manifest", ["Runtime", yaml]),
]

// MARK: Domains: one library per service

let domains: [Target] = [
    library("Subscriptions", ["Runtime", "Postgres", "Outbound"]),
    library("Orders", ["Runtime", "Postgres"]),
]

// MARK: Functions: one folder each under Sources/Functions/<Service>

let functions: [(service: String, names: [String])] = [
    ("Subscriptions", ["Subscribe", "Status", "Eligible", "Charge", "Clubs", "Subscription", "Readyz", "Livez"]),
    ("Orders", ["EcommerceOrder"]),
]

let functionTargets: [Target] = functions.flatMap { service, names in
    names.map { name in
        .executableTarget(
            name: "\(name)Function",
            dependencies: ["Runtime", "Postgres", .byName(name: service)],
            path: "Sources/Functions/\(service)/\(name)",
            swiftSettings: strict)
    }
}

// MARK: Command line tool

let tools: [Target] = [
    .executableTarget(
        name: "taproom",
        dependencies: ["Manifest", "Migrations", "Postgres", "Runtime", arguments, yaml],
        swiftSettings: strict)
]

// MARK: Tests

let tests: [Target] = [
    .target(
        name: "TestSupport", dependencies: ["Postgres", "Runtime"], path: "Tests/TestSupport", swiftSettings: strict),
    .testTarget(name: "RuntimeTests", dependencies: ["Runtime", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "PostgresTests", dependencies: ["Postgres", "Runtime", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "OutboundTests", dependencies: ["Outbound", "Runtime", "TestSupport"], swiftSettings: strict),
]

let package = Package(
    name: "taproom",
    products: [.executable(name: "taproom", targets: ["taproom"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: cModules + foundation + domains + functionTargets + tools + tests,
    swiftLanguageModes: [.v6]
)
