/// The roles that special tokens have for a model.
///
/// The raw values are the keys of configuration files. Fingerprints depend on the order, so it must
/// not change.
enum SpecialTokenRole: String, CaseIterable, Sendable {
    case bos = "bos_token"
    case eos = "eos_token"
    case unk = "unk_token"
    case sep = "sep_token"
    case pad = "pad_token"
    case cls = "cls_token"
    case mask = "mask_token"

    /// The property of ``SpecialTokens`` that holds the id.
    var path: WritableKeyPath<SpecialTokens, Int32?> {
        switch self {
        case .bos: \.bos
        case .eos: \.eos
        case .unk: \.unk
        case .sep: \.sep
        case .pad: \.pad
        case .cls: \.cls
        case .mask: \.mask
        }
    }
}

extension SpecialTokens {
    /// - Parameter others: Special ids without a role.
    init(_ ids: [SpecialTokenRole: Int32], others: some Sequence<Int32>) {
        self.init(others: others)
        for (role, id) in ids {
            self[keyPath: role.path] = id
            allIDs.insert(id)
        }
    }

    subscript(role: SpecialTokenRole) -> Int32? { self[keyPath: role.path] }
}
