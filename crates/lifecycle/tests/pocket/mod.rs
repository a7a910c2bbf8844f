//! `examples/pocket`, and what its machines do, event by event.

use lifecycle::{Zone, why};
use model::event::What;
use model::facts::{CheckResult, Disk, Facts, Hardware, Nic, Stage};
use model::finding::{Code, File};
use model::ids::Generation;
use model::{Event, Location, Mac, Time};
use std::sync::Arc;
use std::time::Duration;

/// A zone with its clock.
pub(crate) struct Told {
    pub(crate) zone: Zone,
    pub(crate) now: Time,
}

pub(crate) fn pocket() -> Told {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.into() };
    let files = [
        file("zone.hcl", include_str!("../../../../examples/pocket/zone.hcl")),
        file("checks/kvm.yaml", include_str!("../../../../examples/pocket/checks/kvm.yaml")),
    ];
    let (design, findings) = design::parse(&files);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    Told { zone: Zone::new(Arc::new(plan), Facts::default()), now: Time(1_000_000) }
}

pub(crate) fn mac(unit: u8, nic: u8) -> Mac {
    Mac([2, 0, 0, 0, unit, nic])
}

/// The machine whose home is unit `unit` of the first rack.
pub(crate) fn uuid(unit: u8) -> [u8; 16] {
    [unit; 16]
}

impl Told {
    pub(crate) fn location(unit: u8) -> Location {
        Location::new(&format!("lab1/p01/r1/u{unit:02}"))
    }

    pub(crate) fn tell(&mut self, unit: u8, what: What) -> lifecycle::Applied {
        self.now = self.now + Duration::from_secs(1);
        self.zone.apply(&Event { at: self.now, location: Self::location(unit), what })
    }

    /// The machine with these addresses asks on the port drawn for `unit`'s `port`.
    pub(crate) fn asks(
        &mut self,
        unit: u8,
        port: &str,
        mac: Mac,
        uuid: [u8; 16],
        stage: Stage,
    ) -> lifecycle::Applied {
        let words = format!("p01-r1-leaf-x swp{unit}");
        self.tell(unit, What::Asked { interface: port.to_owned(), mac, uuid: Some(uuid), stage, port: words })
    }

    pub(crate) fn boots(&mut self, unit: u8, machine: u8) {
        self.asks(unit, "eno1", mac(machine, 1), uuid(machine), Stage::BiosPxe);
        self.asks(unit, "eno1", mac(machine, 1), uuid(machine), Stage::Ipxe);
        self.tell(unit, What::ScriptFetched { generation: Generation(1), image: None });
    }

    pub(crate) fn enrols(&mut self, unit: u8) {
        let until = self.now + Duration::from_secs(900);
        assert_eq!(
            self.tell(
                unit,
                What::TokenIssued { token_sha256: [unit; 32], until, ek_sha256: None, by_bmc: false }
            )
            .refused,
            None
        );
        let paid = What::Enrolled { key_sha256: [9; 32], token_sha256: Some([unit; 32]), tpm: None };
        assert_eq!(self.tell(unit, paid).refused, None);
        self.tell(unit, What::Connected { running: None, burns_in: false, boot: None });
    }

    pub(crate) fn reports(&mut self, unit: u8, hardware: Hardware) {
        self.tell(unit, What::Reported { hardware: Box::new(hardware) });
        let results = vec![CheckResult { name: "kernel".to_owned(), passed: true, detail: String::new() }];
        self.tell(unit, What::Checked { results });
    }

    pub(crate) fn becomes_ready(&mut self, unit: u8, machine: u8) {
        self.boots(unit, machine);
        self.enrols(unit);
        self.reports(unit, as_drawn());
        assert_eq!(self.state(unit), "ready", "{:?}", self.machine(unit));
    }

    pub(crate) fn machine(&self, unit: u8) -> &model::facts::Machine {
        &self.zone.facts().machines[&Self::location(unit)]
    }

    pub(crate) fn state(&self, unit: u8) -> &'static str {
        self.machine(unit).state.name()
    }

    pub(crate) fn doubt(&self, unit: u8) -> Option<Code> {
        self.machine(unit).miscabled.as_ref().map(|(code, _)| *code)
    }

    /// Why this machine wants attention.
    pub(crate) fn attention(&self, unit: u8) -> Option<String> {
        let zone = &self.zone;
        let device = zone.roster().device_at(&Self::location(unit)).expect("a machine");
        let machine = self.machine(unit);
        lifecycle::attention::of_machine(zone.plan(), zone.roster(), device, machine, self.now)
            .map(|attention| attention.in_words("it"))
    }

    pub(crate) fn why(&self, target: &str) -> String {
        why(&self.zone, target, self.now).map_or_else(|| "nothing".to_owned(), |why| why.sentences.join("\n"))
    }
}

/// What `model "node"` of the example expects.
pub(crate) fn as_drawn() -> Hardware {
    Hardware {
        cpus: 2,
        memory_bytes: 4 << 30,
        disks: vec![Disk { name: "sda".to_owned(), size_bytes: 20_000_000_000, kind: "ssd".to_owned() }],
        ..Hardware::default()
    }
}

/// The same in a machine whose agent tells its addresses and its UUID.
pub(crate) fn reported_by(machine: u8) -> Hardware {
    let nic = |number: u8| Nic {
        name: format!("eno{number}"),
        mac: mac(machine, number),
        mbps: Some(25_000),
        neighbour: None,
    };
    let uuid = uuid(machine).iter().map(|octet| format!("{octet:02x}")).collect();
    Hardware { nics: vec![nic(1), nic(2)], stacked: Some(Vec::new()), uuid, ..as_drawn() }
}
