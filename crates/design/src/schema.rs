//! Which blocks there are, where they stand, and which attributes they have: the one table of the language.
//!
//! A new attribute is a word here and a line where the block is read. `check` compares a file with the table, so that
//! the readers need not ask again.

use crate::report::Report;
use crate::syntax::Block;
use model::finding::{Code, Finding};

/// How many labels a block has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Labels {
    None,
    One,
    /// One or more, each of which may be a pattern.
    Patterns,
    /// None or more.
    OptionalPatterns,
}

/// One kind of block.
pub(crate) struct BlockKind {
    pub(crate) name: &'static str,
    pub(crate) labels: Labels,
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    pub(crate) blocks: &'static [&'static str],
}

/// The top level of a file.
pub(crate) const FILE: BlockKind = BlockKind {
    name: "file",
    labels: Labels::None,
    required: &[],
    optional: &[],
    blocks: &[
        "zone",
        "network",
        "model",
        "image",
        "os",
        "layout",
        "role",
        "budget",
        "rollout",
        "view",
        "core",
        "controller",
        "pod",
        "device",
        "at",
        "cabling",
    ],
};

const fn kind(
    name: &'static str,
    labels: Labels,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    blocks: &'static [&'static str],
) -> BlockKind {
    BlockKind { name, labels, required, optional, blocks }
}

/// Every kind of block.
pub(crate) const KINDS: &[BlockKind] = &[
    kind(
        "zone",
        Labels::One,
        &["domain", "supernet", "capacity"],
        &["count_from", "lease", "resolvers", "time_servers", "transfer_to", "relays_from", "dhcp_probe"],
        &[],
    ),
    kind(
        "network",
        Labels::One,
        &["per", "for"],
        &["vlan", "native", "interfaces", "spare", "mtu", "ipv4", "ipv6"],
        &[],
    ),
    kind(
        "model",
        Labels::One,
        &["kind"],
        &[
            "ports",
            "nics",
            "bonds",
            "bmc",
            "circuit_id",
            "remote_id",
            "interface_id",
            "remote_id6",
            "height",
            "expect",
        ],
        &[],
    ),
    kind("image", Labels::One, &["kernel"], &["initrd", "args", "installs"], &["template"]),
    kind("template", Labels::One, &[], &["file"], &[]),
    kind("os", Labels::One, &["image"], &["digest", "args"], &[]),
    kind("layout", Labels::One, &[], &["disks", "raid", "slots", "root", "esp"], &["volume"]),
    kind("volume", Labels::One, &["mount"], &["size"], &[]),
    kind(
        "role",
        Labels::One,
        &[],
        &["boot", "os", "disks", "ssh_keys", "trust", "https", "guest_ouis", "burn_in", "after"],
        &["check", "service"],
    ),
    kind("check", Labels::One, &[], &[], &[]),
    kind("service", Labels::One, &["port"], &["protocol"], &[]),
    kind("budget", Labels::One, &["roles", "may_miss"], &["per_pod", "per_rack"], &[]),
    kind("rollout", Labels::None, &[], &["bake", "tolerate"], &[]),
    kind("view", Labels::One, &["clients", "networks"], &[], &[]),
    kind("core", Labels::Patterns, &["model"], SWITCH, &[]),
    kind("spine", Labels::Patterns, &["model"], SWITCH, &[]),
    kind("leaf", Labels::Patterns, &["model"], SWITCH, &[]),
    kind("lom", Labels::OptionalPatterns, &["model"], SWITCH, &[]),
    kind("controller", Labels::Patterns, &["model"], &["role", "name", "slot", "cable"], &[]),
    kind("device", Labels::Patterns, &["model"], &["name", "cable"], &[]),
    kind("pod", Labels::Patterns, &[], &["slot"], &["spine", "leaf", "lom", "device", "rack"]),
    kind("rack", Labels::Patterns, &[], &["slot"], &["leaf", "lom", "device", "machines", "machine"]),
    kind("machines", Labels::Patterns, &["model"], &["role", "name", "cable"], &[]),
    kind("machine", Labels::One, &["model"], &["role", "name", "slot", "cable"], &[]),
    kind("at", Labels::Patterns, &[], &["role", "model", "name", "cable", "absent"], &[]),
    kind("cabling", Labels::One, &[], &["wrong_rows", "loops"], &[]),
];

const SWITCH: &[&str] = &["name", "slot", "cable"];

/// The kind of this name.
pub(crate) fn kind_of(name: &str) -> Option<&'static BlockKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Compares what stands in `block` with the table, and what stands in the blocks within.
pub(crate) fn check(block: &Block, kind: &BlockKind, report: &mut Report) {
    for attribute in &block.attributes {
        let key = attribute.key.value.as_str();
        if !kind.required.contains(&key) && !kind.optional.contains(&key) {
            let sentence = if kind.name == "file" {
                format!("`{key}` stands outside of every block")
            } else {
                format!("`{}` has no attribute `{key}`", kind.name)
            };
            let finding = Finding::error(Code::UnknownKey, attribute.key.source, sentence);
            let known: Vec<&str> = kind.required.iter().chain(kind.optional).copied().collect();
            report.push(match model::finding::nearest(key, known.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None if known.is_empty() => finding,
                None => finding.help(format!("its attributes are {}", known.join(", "))),
            });
        }
    }
    for key in kind.required {
        if block.get(key).is_none() {
            let sentence = format!("`{}` needs `{key}`", kind.name);
            report.push(
                Finding::error(Code::MissingKey, block.head, sentence).label(format!("no `{key}` in here")),
            );
        }
    }
    for inner in &block.blocks {
        let name = inner.kind.value.as_str();
        match kind_of(name).filter(|_| kind.blocks.contains(&name)) {
            Some(known) => {
                check_labels(inner, known, report);
                check(inner, known, report);
            }
            None => report.push(unknown_block(kind, inner)),
        }
    }
}

fn unknown_block(within: &BlockKind, block: &Block) -> Finding {
    let name = block.kind.value.as_str();
    let here = if within.name == "file" {
        "at the top of a file".to_string()
    } else {
        format!("in `{}`", within.name)
    };
    if kind_of(name).is_none() {
        return Finding::error(Code::UnknownBlock, block.kind.source, format!("there is no block `{name}`"))
            .did_you_mean(name, within.blocks.iter().copied());
    }
    let parents: Vec<String> =
        std::iter::once(&FILE)
            .chain(KINDS)
            .filter(|parent| parent.blocks.contains(&name))
            .map(|parent| {
                if parent.name == "file" { "at the top".to_string() } else { format!("in `{}`", parent.name) }
            })
            .collect();
    Finding::error(Code::UnknownBlock, block.kind.source, format!("`{name}` cannot stand {here}"))
        .help(format!("it stands {}", parents.join(" or ")))
}

fn check_labels(block: &Block, kind: &BlockKind, report: &mut Report) {
    let count = block.labels.len();
    let (fits, wanted) = match kind.labels {
        Labels::None => (count == 0, "no label"),
        Labels::One => (count == 1, "one label"),
        Labels::Patterns => (count >= 1, "at least one label"),
        Labels::OptionalPatterns => (true, ""),
    };
    if !fits {
        let code = if count == 0 { Code::MissingKey } else { Code::WrongValue };
        let finding = Finding::error(code, block.head, format!("`{}` takes {wanted}", kind.name));
        report.push(if count == 0 {
            finding.help(format!("write `{} \"name\" {{`", kind.name))
        } else {
            finding
        });
    }
}
