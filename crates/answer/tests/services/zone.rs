//! The zone of these tests, compiled, with facts and files as a test wants them.

use model::facts::{Machine, State};
use model::finding::File;
use model::view::{Site, SiteFile};
use model::{Facts, Generation, Location, Plan, View};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The generation of the plan.
pub(crate) const GENERATION: Generation = Generation(7);

/// The plan of `zone.hcl`.
pub(crate) fn plan() -> Arc<Plan> {
    let file = File { path: "zone.hcl".into(), text: include_str!("zone.hcl").into() };
    Arc::new(compile(&file))
}

/// The plan of a design of one file.
pub(crate) fn compile(file: &File) -> Plan {
    let broken = File { path: "broken.j2".into(), text: "one\n{{ machine.nmae }}\n".into() };
    let (design, findings) = design::parse(&[broken, file.clone()]);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    Plan { generation: GENERATION, ..plan }
}

/// Its boot files: two loaders, and all that `kvm` and `disk` need.
pub(crate) fn site() -> Arc<Site> {
    let file = |name: &str, size: u64| SiteFile {
        name: name.into(),
        size,
        modified: (0, 0),
        sha256: Some([u8::try_from(size % 251).unwrap(); 32]),
        source: format!("/nowhere/{name}").into(),
    };
    Arc::new(Site {
        ca_sha256: [0xca; 32],
        files: vec![
            file("loader/undionly.kpxe", 70_000),
            file("loader/snponly.efi", 1_000_000),
            file("image/kvm/images/kvm/vmlinuz", 8_000_000),
            file("image/kvm/images/kvm/initrd.img", 40_000_000),
            file("image/disk/images/disk/vmlinuz", 9_000_000),
            file(SiteFile::AGENT, 9_000),
        ],
        ..Site::default()
    })
}

/// The view with nothing observed.
pub(crate) fn view() -> View {
    plan::view(&plan(), &Facts::default(), &site())
}

/// The view after a machine was renamed, with what that changed.
pub(crate) fn view_renamed() -> View {
    let text = include_str!("zone.hcl").replace("\"st-2\"", "\"st-two\"");
    let plan = compile(&File { path: "zone.hcl".into(), text: text.into() });
    let plan = Arc::new(Plan { generation: Generation(GENERATION.0 + 1), ..plan });
    plan::view::succeed(&view(), &plan, &Facts::default(), &site())
}

/// The view when one machine is as `change` leaves it.
pub(crate) fn view_with(location: &str, change: impl FnOnce(&mut Machine)) -> View {
    let mut machine = Machine::default();
    change(&mut machine);
    let facts = Facts { machines: [(Location::new(location), machine)].into(), ..Facts::default() };
    plan::view(&plan(), &facts, &site())
}

/// The view when one machine is in a state.
pub(crate) fn view_in(location: &str, state: State) -> View {
    view_with(location, |machine| machine.state = state)
}

/// The IPv4 address of the interface with this DNS label.
pub(crate) fn v4(plan: &Plan, dns_name: &str) -> Ipv4Addr {
    let mut interfaces = plan.interfaces.iter();
    let found = interfaces.find(|interface| interface.dns_name == dns_name);
    found.and_then(|interface| interface.v4).unwrap_or_else(|| panic!("{dns_name}"))
}

/// Its IPv6 address.
pub(crate) fn v6(plan: &Plan, dns_name: &str) -> Ipv6Addr {
    let mut interfaces = plan.interfaces.iter();
    let found = interfaces.find(|interface| interface.dns_name == dns_name);
    found.and_then(|interface| interface.v6).unwrap_or_else(|| panic!("{dns_name}"))
}
