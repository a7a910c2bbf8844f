//! Every identity of the example zones, as the planner computes it: who asks by it gets its own address, and nobody
//! else's.

use crate::client::*;
use model::finding::File;
use model::view::Site;
use model::{Facts, View};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use wire::dhcp4::Request;

/// The view of an example.
fn example(name: &str) -> View {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut files = Vec::new();
    gather(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (design, findings) = design::parse(&files);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()))
}

#[expect(clippy::disallowed_methods, reason = "the examples are files; what is tested is not")]
fn gather(root: &Path, directory: &Path, files: &mut Vec<File>) {
    for entry in
        std::fs::read_dir(directory).expect("an example").map(|entry| entry.expect("readable").path())
    {
        if entry.is_dir() {
            gather(root, &entry, files);
        } else if let Ok(text) = std::fs::read_to_string(&entry) {
            let path = entry.strip_prefix(root).expect("inside").display().to_string();
            files.push(File { path, text: text.into() });
        }
    }
}

#[track_caller]
fn check(name: &str, at_least: usize) {
    let view = example(name);
    let plan = &view.plan;
    let mut asked = 0;
    let mut holders: HashMap<Ipv4Addr, model::InterfaceId> = HashMap::new();
    for binding in &plan.bindings {
        let interface = plan.interface(binding.interface);
        let Some(its) = interface.v4 else { continue };
        let routers = &plan.subnet(interface.subnet).routers;
        let Some(giaddr) =
            routers.iter().find(|router| router.switch == binding.switch).and_then(|router| router.v4)
        else {
            continue;
        };
        let mut sub_options: Vec<(u8, &[u8])> = vec![(1, &binding.circuit_id)];
        sub_options.extend(binding.remote_id.as_deref().map(|remote_id| (2, remote_id)));
        let model = &plan.design.models[plan.design.devices[interface.device.index()].model.index()];
        let vendor_class = match (binding.is_bmc_class, model.bmc_vendor_class.first()) {
            (Some(true), Some(prefix)) => prefix.clone().into_bytes(),
            _ => Vec::new(),
        };
        let request = Request { vendor_class, ..discover() };
        let outcome = with_agent(&view, &request, &agent(&sub_options), giaddr);
        assert_eq!(outcome.granted(), its, "{name}: {binding:?}");
        assert_eq!(
            *holders.entry(its).or_insert(binding.interface),
            binding.interface,
            "{name}: {its} is one's"
        );
        asked += 1;
    }
    assert!(asked >= at_least, "{name}: {asked} identities");
}

#[test]
fn each_identity_of_an_example_gets_its_own_address_and_nobody_elses() {
    check("pocket", 16);
    check("hundred", 100);
    check("ten-thousand", 10_000);
}
