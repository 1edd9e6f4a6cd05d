/// A prefix of the names in a file, and the prefix that replaces it in the model.
struct WeightLayout {
    var inFile: String
    var inModel: String
}

extension ModelWeights {
    /// The weights under the model's own names, by the layout that finds most of them.
    ///
    /// Tensors that do not follow the layout keep their names, so that a strict load reports them.
    ///
    /// - Throws: `CheckpointError.unknownLayout` when no layout gives the model a single tensor.
    func laidOut(for model: Module, _ layouts: [WeightLayout]) throws -> ModelWeights {
        let own = Set(model.allNames().map(\.name))
        var best: (layout: WeightLayout, count: Int)?
        for layout in layouts {
            let count = names.count { renamed($0, layout).map(own.contains) ?? false }
            if count > best?.count ?? 0 { best = (layout, count) }
        }
        guard let layout = best?.layout else {
            throw CheckpointError.unknownLayout(
                file: source, expected: "weight of this model, '\(own.min() ?? "")' for instance",
                found: names)
        }
        return try self.renamed { renamed($0, layout) ?? $0 }
    }

    private func renamed(_ name: String, _ layout: WeightLayout) -> String? {
        guard name.hasPrefix(layout.inFile) else { return nil }
        return layout.inModel + name.dropFirst(layout.inFile.count)
    }
}
