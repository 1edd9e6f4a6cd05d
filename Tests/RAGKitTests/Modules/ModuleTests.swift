import Testing

@testable import RAGKit

/// Parts of every kind, in an order that is not the alphabet's.
private final class Zoo: Module {
    let settings = ["not", "a", "part"]
    @ModuleInfo(key: "second.inner") var dotted: Linear
    @ModuleInfo(key: "") var levelless: Pair
    @ModuleInfo(key: "blocks") var blocks: [Pair]
    @ModuleInfo var plain: Linear
    @ModuleInfo(key: "absent") var absent: Linear?
    @ModuleInfo(key: "present") var present: Linear?
    @ParameterInfo(key: "own.weight") var own: Parameter
    let bare: Parameter
    var optional: Linear?
    let list: [Linear]

    override init() {
        bare = Parameter([1], .ones, isBuffer: true)
        list = [Linear(1, 1, bias: false), Linear(1, 1, bias: false)]
        super.init()
        dotted = Linear(1, 2)
        levelless = Pair()
        blocks = [Pair(), Pair()]
        plain = Linear(2, 1, bias: false)
        absent = nil
        present = Linear(1, 1, bias: false)
        own = Parameter([3], .zeros)
        optional = Linear(1, 1, bias: false)
    }
}

private final class Pair: Module {
    let first = Linear(1, 1, bias: false)
    @ModuleInfo(key: "2nd") var other: Linear = Linear(1, 1, bias: false)
}

private let zooNames = [
    "second.inner.weight", "second.inner.bias", "first.weight", "2nd.weight",
    "blocks.0.first.weight", "blocks.0.2nd.weight", "blocks.1.first.weight", "blocks.1.2nd.weight",
    "plain.weight", "present.weight", "own.weight", "bare", "optional.weight", "list.0.weight",
    "list.1.weight",
]

@Suite struct ModuleTests {
    @Test func partsAreFoundInOrderOfDeclaration() {
        let zoo = Zoo()
        #expect(zoo.allNames().map(\.name) == zooNames)
        #expect(zoo.namedValues().map(\.name) == zooNames)
        #expect(zoo.namedParameters().map(\.name) == zooNames.filter { $0 != "bare" })
        #expect(
            zoo.children.map(\.key) == [
                "second.inner", "", "blocks.0", "blocks.1", "plain", "present", "optional",
                "list.0", "list.1",
            ])
        #expect(zoo.parameterCount == 2 + 2 + 1 + 1 + 4 + 2 + 1 + 3 + 1 + 2)
    }

    @Test func partsOfASuperclassComeFirst() {
        class Base: Module { let low = Parameter([1], .zeros) }
        class Derived: Base { let high = Parameter([1], .zeros) }
        #expect(Derived().allNames().map(\.name) == ["low", "high"])
    }

    @Test func partsMayBeReplaced() {
        let zoo = Zoo()
        zoo.optional = nil
        zoo.present = nil
        zoo.blocks.removeLast()
        let gone = [
            "optional.weight", "present.weight", "blocks.1.first.weight", "blocks.1.2nd.weight",
        ]
        #expect(zoo.allNames().map(\.name) == zooNames.filter { !gone.contains($0) })
    }

    @Test func tiedParametersAreListedOnce() {
        final class Tied: Module {
            let input = Embedding(4, 2)
            @ModuleInfo(key: "lm_head") var output: Embedding
            override init() {
                super.init()
                output = Embedding(tying: input.weight)
            }
        }
        let model = Tied()
        #expect(model.allNames().map(\.name) == ["input.weight", "lm_head.weight"])
        #expect(model.namedParameters().map(\.name) == ["input.weight"])
        #expect(model.parameters().count == 1 && model.parameterCount == 8)
        #expect(model.freeze { $0.hasPrefix("lm_head") } == 1)
        #expect(!model.input.weight.isTrainable)
    }

    @Test func freezingByName() {
        let zoo = Zoo()
        #expect(zoo.freeze { $0.hasPrefix("blocks.") } == 4)
        let frozen = zoo.namedParameters().filter { !$0.parameter.isTrainable }.map(\.name)
        #expect(frozen == zooNames.filter { $0.hasPrefix("blocks.") })
        #expect(zoo.freeze { $0 == "misspelt" } == 0)
        #expect(zoo.freeze() == zooNames.count - 1)
        #expect(zoo.parameters().allSatisfy { !$0.isTrainable })
        #expect(zoo.setTrainable(true) { $0 == "own.weight" || $0 == "bare" } == 1)
        #expect(zoo.own.isTrainable && !zoo.bare.isTrainable)
    }

    @Test func pathsFollowTheNames() {
        let zoo = Zoo()
        zoo.namePaths()
        #expect(zoo.path == "" && zoo.dotted.path == "second.inner")
        #expect(zoo.levelless.path == "" && zoo.levelless.other.path == "2nd")
        #expect(zoo.blocks[1].first.path == "blocks.1.first" && zoo.list[1].path == "list.1")
        zoo.namePaths("model")
        #expect(zoo.path == "model" && zoo.levelless.other.path == "model.2nd")
        #expect(zoo.blocks[0].other.path == "model.blocks.0.2nd")
        var generator = SeededGenerator(seed: 1)
        zoo.initialize(using: &generator)
        #expect(zoo.plain.path == "plain")
    }

    @Test func initializationFollowsTheSeed() {
        func values(_ seed: UInt64) -> [[Float]] {
            let zoo = Zoo()
            var generator = SeededGenerator(seed: seed)
            zoo.initialize(using: &generator)
            return zoo.namedValues().map(\.parameter.value.elements)
        }
        #expect(values(4) == values(4))
        #expect(values(4) != values(5))
    }

    @Test func usingAPartBeforeItIsSetStops() async {
        await #expect(processExitsWith: .failure) {
            final class Unset: Module { @ModuleInfo(key: "part") var part: Linear }
            _ = Unset().part
        }
    }
}

@Suite struct SharedValueTests {
    private static func filled(_ seed: UInt64) -> Zoo {
        let zoo = Zoo()
        var generator = SeededGenerator(seed: seed)
        zoo.initialize(using: &generator)
        return zoo
    }

    @Test func valuesAreSharedUntilOneChanges() {
        let (original, copy) = (Self.filled(1), Zoo())
        copy.shareValues(of: original)
        let pairs = zip(original.namedValues(), copy.namedValues())
        for ((name, mine), (_, theirs)) in pairs {
            #expect(mine.value.storage === theirs.value.storage, "\(name)")
        }
        let before = original.dotted.weight.value.elements
        original.dotted.weight.update { $0[0] += 1 }
        #expect(copy.dotted.weight.value.elements == before)
        #expect(original.dotted.weight.value.elements[0] == before[0] + 1)
        copy.plain.weight.update { $0[1] = 9 }
        #expect(original.plain.weight.value.elements[1] != 9)
        #expect(original.own.value.storage === copy.own.value.storage)
    }

    @Test func otherShapesStop() async {
        await #expect(processExitsWith: .failure) {
            let (a, b) = (Linear(2, 3), Linear(3, 2))
            a.shareValues(of: b)
        }
    }
}
