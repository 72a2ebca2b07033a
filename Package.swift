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
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// Named places at which tests kill or hold a process; no release build has them.
let faultPoints: [SwiftSetting] = [.define("FAULT_POINTS", .when(configuration: .debug))]

func library(_ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict + settings)
}

// MARK: C modules: nothing but a module map and shim.h, and what loads libraries when they are needed

let cModules: [Target] = [
    .systemLibrary(name: "CFastCGI", pkgConfig: "fcgi", providers: [.apt(["libfcgi-dev"])]),
    .systemLibrary(name: "CPostgres", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CLoader", dependencies: ["CCrypto", "CCurl", "CPostgres"]),
    .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
    .systemLibrary(name: "CLinux"),
]

// MARK: Runtime and wrappers: a module imports only what stands above it

let foundation: [Target] = [
    library("Runtime", ["CFastCGI", "CLinux", log], faultPoints),
    library("Digests", ["CCrypto", "CLoader"]),
    library("Postgres", ["CLoader", "CPostgres", "Runtime"]),
    library("Outbound", ["CCurl", "CLoader", "Runtime", log]),
    library("Events", ["Postgres", "Runtime"]),
    library("Messaging", ["CRabbitMQ", "Digests", "Events", "Postgres", "Runtime"]),
    library("Migrations", ["Digests", "Postgres", "Runtime"]),
    library("Manifest", ["Messaging", "Runtime", yaml]),
]

// MARK: Domains

let domains: [Target] = [
    library("Subscriptions", ["Events", "Postgres", "Runtime"]),
    library("Charging", ["Events", "Outbound", "Postgres", "Runtime", "Subscriptions", log]),
    library("Orders", ["Runtime", "Postgres"]),
    library("Customers", ["Events", "Postgres", "Runtime"]),
]

// MARK: Functions: one folder each under Sources/Functions, with what it needs beside the runtime

let functions: [(folder: String, needs: [Target.Dependency])] = [
    ("Subscriptions/Subscribe", ["Events", "Postgres", "Subscriptions"]),
    ("Subscriptions/Status", ["Events", "Postgres", "Subscriptions"]),
    ("Subscriptions/Eligible", ["Postgres", "Subscriptions"]),
    ("Subscriptions/Charge", ["Charging", "Events", "Postgres", "Subscriptions"]),
    ("Subscriptions/SettleCharges", ["Charging", "Events", "Postgres"]),
    ("Subscriptions/Clubs", ["Postgres", "Subscriptions"]),
    ("Subscriptions/Subscription", ["Postgres", "Subscriptions"]),
    ("Subscriptions/Livez", []),
    ("Subscriptions/Readyz", ["Postgres"]),
    ("Orders/EcommerceOrder", ["Postgres", "Orders"]),
    ("Customers/CreateCustomer", ["Customers", "Events", "Postgres"]),
    ("Customers/GetCustomer", ["Customers", "Postgres"]),
    ("Customers/ListCustomers", ["Customers", "Postgres"]),
    ("Customers/CustomerEvents", ["Customers", "Postgres"]),
    ("Customers/UpdateAddress", ["Customers", "Events", "Postgres"]),
    ("Customers/ArchiveCustomer", ["Customers", "Events", "Postgres"]),
    ("Customers/OrderCompleted", ["Customers", "Events", "Messaging", "Postgres"]),
    ("Messaging/Relay", ["Messaging"]),
]

let functionTargets: [Target] = functions.map { folder, needs in
    .executableTarget(
        name: "\(folder.split(separator: "/")[1])Function",
        dependencies: ["Runtime"] + needs,
        path: "Sources/Functions/\(folder)",
        swiftSettings: strict,
        // Only the libraries that a function calls are loaded at its start.
        linkerSettings: [.unsafeFlags(["-Xlinker", "--as-needed"])])
}

// MARK: Command line tool

let tools: [Target] = [
    library(
        "Instance",
        [
            "CLinux", "Digests", "Manifest", "Messaging", "Migrations", "Outbound", "Postgres", "Runtime",
            "Subscriptions",
        ]),
    library("Operations", ["Digests", "Outbound", "Postgres", "Runtime"]),
    .executableTarget(
        name: "taproom",
        dependencies: [
            "Customers", "Events", "Instance", "Manifest", "Messaging", "Migrations", "Operations", "Postgres",
            "Runtime", "Subscriptions", arguments,
        ],
        swiftSettings: strict),
]

// MARK: Tests

func tests(_ module: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: "\(module)Tests", dependencies: ["TestSupport"] + dependencies, swiftSettings: strict)
}

let testTargets: [Target] = [
    .target(
        name: "TestSupport", dependencies: ["Migrations", "Postgres", "Runtime"], path: "Tests/TestSupport",
        swiftSettings: strict),
    tests("Runtime", ["Postgres", "Runtime"]),
    tests("Digests", ["Digests", "Runtime"]),
    tests("Postgres", ["Postgres", "Runtime"]),
    tests("Outbound", ["Outbound", "Runtime"]),
    tests("Migrations", ["Migrations", "Postgres", "Runtime", "taproom"]),
    tests("Manifest", ["Manifest", "Messaging"]),
    tests("Documents", ["Charging", "Customers", "Events", "Manifest", "Messaging", "Postgres", "Runtime", yaml]),
    tests("Instance", ["Instance", "Manifest", "Messaging", "Postgres", "Runtime", "taproom"]),
    tests("EndToEnd", ["Postgres", "Runtime", "taproom", yaml] + functionTargets.map { .byName(name: $0.name) }),
    tests("Operations", ["Operations", "Outbound", "Postgres", "Runtime"]),
    tests("Subscriptions", ["Charging", "Events", "Migrations", "Postgres", "Runtime", "Subscriptions"]),
    tests("Customers", ["Customers", "Events", "Migrations", "Postgres", "Runtime"]),
    .executableTarget(
        name: "LedgerConsumer", dependencies: ["Events", "Messaging", "Postgres", "Runtime"],
        path: "Tests/LedgerConsumer", swiftSettings: strict),
    tests("Messaging", ["Events", "LedgerConsumer", "Messaging", "Postgres", "RelayFunction", "Runtime", "taproom"]),
]

let package = Package(
    name: "taproom",
    products: [.executable(name: "taproom", targets: ["taproom"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: cModules + foundation + domains + functionTargets + tools + testTargets,
    swiftLanguageModes: [.v6]
)
