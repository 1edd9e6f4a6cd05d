import Foundation
import RAGKitBLAS

/// Adam with decoupled weight decay.
///
/// Source: Loshchilov & Hutter 2017, arXiv:1711.05101.
public final class AdamW: Optimizer {
    /// The place of epsilon and decay in the formula.
    public enum Variant: Sendable {
        /// `p -= lr · decay · p`, then `p -= lr · m̂ / (√v̂ + ε)`: torch's.
        case torch
        /// `p -= lr · √c₂ / c₁ · m / (√v + ε)`, then the decay: transformers'.
        case transformers
    }

    /// The choice of the parameters that decay.
    public enum Decay: Sendable, Equatable {
        /// Every one, biases and norms too.
        case all
        /// Those with two or more dimensions: neither biases nor the gains of norms.
        case weightsOnly
        /// All but those whose name contains one of the words; the reference's are `bias` and
        /// `LayerNorm.weight`.
        case excludingNames([String])

        func applies(to name: String, _ parameter: Parameter) -> Bool {
            switch self {
            case .all: true
            case .weightsOnly: parameter.shape.count > 1
            case .excludingNames(let words): !words.contains { name.contains($0) }
            }
        }
    }

    /// A part of the model that learns faster or slower than the rest.
    public struct RateFactor: Sendable, Equatable {
        /// A word that the names of the part's parameters contain.
        public var word: String
        /// Multiplies the learning rate.
        public var factor: Double

        public init(_ word: String, _ factor: Double) {
            self.word = word
            self.factor = factor
        }
    }

    /// The rates that stay the same through a run.
    public struct Settings: Sendable {
        public var beta1: Float = 0.9
        public var beta2: Float = 0.999
        public var epsilon: Float = 1e-8
        public var weightDecay: Float = 0
        public var variant = Variant.torch
        public var decay = Decay.weightsOnly
        /// The first whose word a parameter's name contains applies to it.
        public var rateFactors: [RateFactor] = []

        public init() {}
    }

    private struct Slot {
        let name: String
        let parameter: Parameter
        let decays: Bool
        let rateFactor: Double
        /// The running means of gradient and squared gradient, once there was a gradient.
        var moments: (Tensor, Tensor)?
        /// The number of gradients that they are the means of.
        var step = 0
    }

    public let settings: Settings
    /// The number of updates made.
    public private(set) var step = 0
    private var slots: [Slot]

    /// - Parameter parameters: with their names, each once; those that are not trainable when an
    ///   update comes are left alone.
    public init(
        _ parameters: [(name: String, parameter: Parameter)], _ settings: Settings = Settings()
    ) {
        self.settings = settings
        slots = parameters.map { name, parameter in
            Slot(
                name: name, parameter: parameter,
                decays: settings.decay.applies(to: name, parameter),
                rateFactor: settings.rateFactors.first { name.contains($0.word) }?.factor ?? 1,
                moments: nil)
        }
    }

    public func update(_ gradients: Gradients, learningRate: Double, gradientScale: Float = 1) {
        step += 1
        let profile = Profile.current
        var arguments = ragkit_adamw_step(
            learning_rate: 0, beta1: settings.beta1, beta2: settings.beta2,
            epsilon: settings.epsilon, weight_decay: 0, bias_correction1: 1, bias_correction2: 1,
            gradient_scale: gradientScale,
            transformers_variant: settings.variant == .transformers)
        for index in slots.indices where slots[index].parameter.isTrainable {
            let parameter = slots[index].parameter
            guard let gradient = gradients[parameter] else { continue }
            let (first, second) =
                slots[index].moments ?? (.zeros(parameter.shape), .zeros(parameter.shape))
            slots[index].moments = (first, second)
            slots[index].step += 1
            arguments.learning_rate = Float(learningRate * slots[index].rateFactor)
            let updates = Double(slots[index].step)
            arguments.bias_correction1 = Float(1 - pow(Double(settings.beta1), updates))
            arguments.bias_correction2 = Float(1 - pow(Double(settings.beta2), updates))
            arguments.weight_decay = slots[index].decays ? settings.weightDecay : 0
            parameter.updateWithPacks { values, packs in
                // The moments belong to this optimizer alone, so they are changed in place.
                if packs.isEmpty {
                    ragkit_adamw(
                        gradient.count, &arguments, gradient.pointer, values,
                        first.writablePointer, second.writablePointer)
                } else {
                    let starts = packs.map { UnsafeMutableRawPointer?($0.start) }
                    ragkit_adamw_packing(
                        gradient.dim(0), gradient.dim(1), &arguments, gradient.pointer, values,
                        first.writablePointer, second.writablePointer, packs.count, starts)
                }
            }
            // Four are read and three written.
            profile?.mark("AdamW", elements: 7 * gradient.count)
        }
    }
}

extension AdamW {
    /// The running means as `NAME.exp_avg` and `NAME.exp_avg_sq`, torch's words, with the number of
    /// updates of each parameter as `NAME.step` and of all as `step`. A parameter that never had a
    /// gradient has none.
    public var state: OptimizerState {
        var state = OptimizerState(counts: ["step": step])
        for slot in slots {
            guard let (first, second) = slot.moments else { continue }
            state.tensors["\(slot.name).exp_avg"] = first.copied()
            state.tensors["\(slot.name).exp_avg_sq"] = second.copied()
            state.counts["\(slot.name).step"] = slot.step
        }
        return state
    }

    public func load(_ state: OptimizerState) throws {
        var (missing, wrongShape): ([String], [String]) = ([], [])
        var (tensors, counts) = (state.tensors, state.counts)
        var loaded = slots
        let step = counts.removeValue(forKey: "step")
        if step == nil { missing.append("step") }
        for (index, slot) in slots.enumerated() {
            let names = ["\(slot.name).exp_avg", "\(slot.name).exp_avg_sq"]
            let found = names.map { tensors.removeValue(forKey: $0) }
            let updates = counts.removeValue(forKey: "\(slot.name).step")
            guard let first = found[0], let second = found[1], let updates else {
                loaded[index].moments = nil
                loaded[index].step = 0
                guard found.contains(where: { $0 != nil }) || updates != nil else { continue }
                missing += zip(names, found).filter { $1 == nil }.map(\.0)
                if updates == nil { missing.append("\(slot.name).step") }
                continue
            }
            wrongShape += zip(names, [first, second])
                .filter { $1.shape != slot.parameter.shape }.map(\.0)
            loaded[index].moments = (first.copied(), second.copied())
            loaded[index].step = updates
        }
        let unexpected = (Array(tensors.keys) + counts.keys).sorted()
        guard let step, missing.isEmpty, unexpected.isEmpty, wrongShape.isEmpty else {
            throw OptimizerError.doesNotFit(
                missing: missing, unexpected: unexpected, wrongShape: wrongShape)
        }
        slots = loaded
        self.step = step
    }
}
