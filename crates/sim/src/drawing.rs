//! The zone as its team draws it, as text; what changes in it during a run; and the plan and site that follow.

use model::finding::{Code, File, Severity};
use model::view::{Site, SiteFile};
use model::{Generation, Plan};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// How a zone is drawn. Everything but its shape may be another at the next publication.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Drawing {
    pub(crate) pods: usize,
    pub(crate) racks: usize,
    /// Units of each rack that are drawn now, and that there is room for.
    pub(crate) units: usize,
    pub(crate) units_max: usize,
    pub(crate) lease_seconds: u32,
    /// Of each rack's units, the first so many run from memory; the others have a system of ours on their disks.
    pub(crate) live: usize,
    pub(crate) burn_in_seconds: u32,
    pub(crate) by_tpm: bool,
    /// Which operating system is the right one.
    pub(crate) system: u64,
    /// What those run that run from memory.
    pub(crate) kernel: u64,
    /// A word that nothing depends on.
    pub(crate) remark: u64,
}

/// What the checks of the role want to see. Their outcome is the world's.
const CHECKS: &str = "service:\n  ssh:\n    running: true\n";

impl Drawing {
    /// The digest of an operating system.
    pub(crate) fn digest(system: u64) -> String {
        format!("sha256:{system:064x}")
    }

    /// Every unit that is drawn.
    pub(crate) fn machines(&self) -> usize {
        self.pods * self.racks * self.units
    }

    fn text(&self) -> String {
        let Self { pods, racks, units, units_max, lease_seconds, live, remark, system, kernel, .. } = self;
        let burn_in = match self.burn_in_seconds {
            0 => String::new(),
            seconds => format!("burn_in = {{ cpu = \"{seconds}s\", memory = \"{seconds}s\" }}\n"),
        };
        let trust = if self.by_tpm { "trust = \"tpm\"\n" } else { "" };
        let mut text = format!(
            r#"# {remark}
zone "sim1" {{
  domain   = "sim1.example.net"
  supernet = ["10.32.0.0/12"]
  capacity = {{ pods = {pods}, racks = {racks}, units = {units_max}, switches = 8 }}
  lease    = "{lease_seconds}s"
}}
network "mgmt" {{
  per = "zone"
  for = ["switch", "controller"]
}}
network "boot" {{
  per = "rack"
  for = ["machine"]
}}
network "bmc" {{
  per = "rack"
  for = ["bmc"]
}}
model "core" {{
  kind       = "switch"
  ports      = "Ethernet{{1..256}}"
  circuit_id = "{{name}}:{{port}}"
}}
model "leaf" {{
  kind       = "switch"
  ports      = ["swp{{1..48}}", "uplink{{1..4}}"]
  circuit_id = "{{port}}"
  remote_id  = "{{name}}"
}}
model "node" {{
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = {{ bond0 = ["eno1", "eno2"] }}
  bmc    = {{ port = "bmc" }}
  expect = {{ cpus = 16, memory = "64GiB", disks = [{{ count = 2, size = "480GB", kind = "ssd" }}] }}
}}
model "seed" {{
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}}
image "live" {{
  kernel = "images/live/vmlinuz-{kernel}"
  initrd = ["images/live/initrd.img"]
}}
image "installer" {{
  kernel   = "images/installer/vmlinuz"
  initrd   = ["images/installer/initrd.img"]
  installs = true
}}
os "debian" {{ image = "images/debian-{system}" }}
layout "mirrored" {{
  disks = {{ count = 2, kind = "ssd" }}
  raid  = 1
  root  = "8GiB"
}}
role "live" {{
  boot = image.live
  check "checks/server.yaml" {{}}
}}
role "kept" {{
  boot  = image.installer
  os    = os.debian
  disks = layout.mirrored
  {burn_in}{trust}
  check "checks/server.yaml" {{}}
}}
core "c1" {{ model = "core" }}
controller "ctl1" "ctl2" "ctl3" {{
  model = "seed"
  cable = {{ eno1 = core.c1.Ethernet[200 + number] }}
}}
pod "p{{01..{pods:02}}}" {{
  spine "s1" {{
    model = "core"
    cable = {{ Ethernet256 = core.c1.Ethernet[pod] }}
  }}
  rack "r{{1..{racks}}}" {{
    leaf "a" "b" {{
      model = "leaf"
      cable = {{ uplink1 = spine.s1.Ethernet[rack * 4 + number] }}
    }}
    lom {{
      model = "leaf"
      cable = {{ uplink1 = spine.s1.Ethernet[rack * 4 + 3] }}
    }}
"#
        );
        let blocks = [("live", 1, (*live).min(*units)), ("kept", live + 1, *units)];
        for (role, first, last) in blocks.into_iter().filter(|(_, first, last)| first <= last) {
            let _ = writeln!(
                text,
                r#"    machines "u{{{first:02}..{last:02}}}" {{
      role  = "{role}"
      model = "node"
      name  = "m-{{pod}}-{{rack}}-{{unit}}"
      cable = {{ eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }}
    }}"#
            );
        }
        text.push_str("  }\n}\n");
        text
    }

    /// Compiles it, as publication `generation`.
    ///
    /// # Panics
    /// If the drawing is not a design: then it is this file that is wrong, and no seed means anything.
    pub(crate) fn compile(&self, parent: Option<&Plan>, generation: u64) -> Plan {
        let text = self.text();
        let files = [
            File { path: "checks/server.yaml".into(), text: CHECKS.into() },
            File { path: "zone.hcl".into(), text: text.as_str().into() },
        ];
        let (design, mut findings) = design::parse(&files);
        let plan = design.and_then(|design| {
            let (plan, more) = plan::compile(design, parent);
            findings.extend(more);
            plan
        });
        findings.retain(|finding| finding.severity == Severity::Error && finding.code != Code::Shrinks);
        let Some(mut plan) = plan.filter(|_| findings.is_empty()) else {
            panic!("the drawing is no design: {findings:?}\n{text}")
        };
        plan.generation = Generation(generation);
        plan
    }

    /// What lies beside a plan that was drawn so.
    pub(crate) fn site(plan: &Plan) -> Arc<Site> {
        let file = |name: &str| SiteFile {
            name: name.to_owned(),
            size: 8 << 20,
            modified: (0, 0),
            sha256: Some([7; 32]),
            source: PathBuf::new(),
        };
        // While a change is under way an image is there twice, with a kernel each.
        let names: BTreeSet<String> = plan
            .design
            .images
            .iter()
            .flat_map(|image| {
                let files = [&image.kernel].into_iter().chain(&image.initrd);
                files.map(|file| format!("image/{}/{file}", image.name))
            })
            .collect();
        let loaders = ["loader/ipxe.efi", "loader/undionly.kpxe"].map(str::to_owned);
        Arc::new(Site {
            files: names.into_iter().chain(loaders).map(|name| file(&name)).collect(),
            systems: plan
                .design
                .systems
                .iter()
                .map(|os| (os.name.clone(), Self::digest(number(&os.image))))
                .collect(),
            ..Site::default()
        })
    }
}

/// Which system a directory holds, or which kernel a file is.
pub(crate) fn number(image: &str) -> u64 {
    image.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_compiles_and_grows_without_renumbering() {
        let small = Drawing {
            pods: 2,
            racks: 2,
            units: 4,
            units_max: 8,
            lease_seconds: 600,
            live: 2,
            burn_in_seconds: 10,
            by_tpm: true,
            system: 1,
            kernel: 1,
            remark: 0,
        };
        let first = small.compile(None, 1);
        let grown = Drawing { units: 6, ..small.clone() }.compile(Some(&first), 2);
        assert!(grown.interfaces.len() > first.interfaces.len());
        let site = Drawing::site(&grown);
        let view = plan::view(&Arc::new(grown), &model::Facts::default(), &site);
        assert_eq!(view.boot.images.iter().filter_map(|image| image.missing.clone()).next(), None);
        assert!(!view.dhcp.servers.is_empty());
    }
}
