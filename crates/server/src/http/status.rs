//! How the controller and the zone are.

use super::{Api, machines, words};
use crate::clock;
use crate::controller::{Condition, Controller, Leading};
use crate::counters::Protocol;
use api::http::{Controllers, Findings, PodMap, RackMap, Status, Trouble, UnitMap};
use axum::Json;
use axum::extract::State;
use lifecycle::probe::Heard;
use lifecycle::{Attention, Zone, attention};
use model::design::Device;
use model::{Code, DeviceId, Reason, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Troubles that are listed; the rest is counted, and the map shows it.
const TROUBLES_MAX: usize = 100;
/// How long hardware in a wrong place is told of after it asked: it asks at each start, and once it is put right no more.
const MET_LATELY: Duration = Duration::from_secs(15 * 60);
/// What stands before troubles of machines in a list: the controller's own, changes, networks.
const RANKS_BEFORE_MACHINES: u8 = 3;

/// What there is to look at, the worst first: as much as is listed, and how much there is.
#[derive(Default)]
pub(crate) struct Troubles {
    /// By how bad it is; of each as much as is listed at most, since nobody knows yet what is worse.
    by_rank: BTreeMap<u8, Vec<Trouble>>,
    count: usize,
}

impl Troubles {
    /// All but those of machines.
    pub(crate) fn of_zone(controller: &Controller, condition: &Condition, zone: &Zone, now: Time) -> Self {
        let mut troubles = Self::default();
        for trouble in of_controller(controller, condition, now) {
            troubles.add(0, || trouble);
        }
        for (id, sentence) in attention::of_changes(zone, now) {
            let about = || "change".to_owned();
            let trouble =
                || Trouble { about: about(), location: None, change: Some(id.0), code: None, sentence };
            troubles.add(1, trouble);
        }
        for heard in lifecycle::probe::heard(zone) {
            troubles.add(2, || foreign_server(heard));
        }
        troubles
    }

    /// One machine's, if it has one; why it wants attention.
    pub(crate) fn add_machine<'a>(
        &mut self,
        zone: &'a Zone,
        id: DeviceId,
        device: &Device,
        now: Time,
    ) -> Option<Attention<'a>> {
        let machine = zone.facts().machines.get(&device.location)?;
        let attention = attention::of_machine(zone.plan(), zone.roster(), id, machine, now)?;
        self.add(RANKS_BEFORE_MACHINES + attention.rank(), || trouble(device, &attention));
        Some(attention)
    }

    fn add(&mut self, rank: u8, trouble: impl FnOnce() -> Trouble) {
        self.count += 1;
        let alike = self.by_rank.entry(rank).or_default();
        if alike.len() < TROUBLES_MAX {
            alike.push(trouble());
        }
    }

    /// So many of them at most, and how many more there are.
    pub(crate) fn listed(self, most: usize) -> (Vec<Trouble>, usize) {
        let listed: Vec<Trouble> =
            self.by_rank.into_values().flatten().take(most.min(TROUBLES_MAX)).collect();
        let more = self.count - listed.len();
        (listed, more)
    }
}

/// How the zone is: machines by state, a map of them, and what to look at.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(api): State<Api>) -> Json<Status> {
    let controller = &api.controller;
    let condition = controller.condition();
    let now = clock::now();
    let zone = controller.zone();
    let plan = zone.plan();
    let mut states = BTreeMap::new();
    let mut overdue = 0;
    let mut pods: Vec<PodMap> = Vec::new();
    let mut troubles = Troubles::of_zone(controller, &condition, &zone, now);
    for (id, device) in machines::booted(plan) {
        let row = machines::row(&zone, id, device, now);
        *states.entry(row.state.clone()).or_default() += 1;
        let is_overdue = row.wait.as_ref().is_some_and(|wait| wait.overdue);
        overdue += usize::from(is_overdue);
        let (pod, rack) = (row.pod.clone().unwrap_or_default(), row.rack.clone().unwrap_or_default());
        let unit = UnitMap {
            unit: device.location.leaf().to_owned(),
            state: row.state.clone(),
            attention: troubles.add_machine(&zone, id, device, now).is_some(),
        };
        // A machine follows its neighbours in the design, but for those that an `at` block moved.
        let at = pods.iter().rposition(|known| known.pod == pod).unwrap_or_else(|| {
            pods.push(PodMap { pod, racks: Vec::new() });
            pods.len() - 1
        });
        let racks = &mut pods[at].racks;
        let at = racks.iter().rposition(|known| known.rack == rack).unwrap_or_else(|| {
            racks.push(RackMap { rack, units: Vec::new() });
            racks.len() - 1
        });
        racks[at].units.push(unit);
    }
    let (troubles, more_troubles) = troubles.listed(TROUBLES_MAX);
    let traffic = Protocol::ALL.map(|protocol| controller.counters.of(protocol));
    Json(Status {
        zone: plan.design.zone.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: plan.generation.0,
        now,
        started: controller.started,
        states,
        overdue,
        agents: controller.present.count(),
        pods,
        troubles,
        more_troubles,
        refused: traffic.iter().flat_map(|traffic| &traffic.refused).map(|count| count.get()).sum(),
        answered: traffic.iter().map(|traffic| traffic.answered.get()).sum(),
        controllers: condition.sharing.map(|sharing| Controllers {
            leads: sharing.leads().map(str::to_owned),
            this: sharing.name,
            present: sharing.controllers,
        }),
    })
}

/// What is wrong with the design, and everything else to look at.
#[utoipa::path(get, path = "/v1/findings", responses((status = 200, body = Findings)))]
pub(crate) async fn findings(State(api): State<Api>) -> Json<Findings> {
    let condition = api.controller.condition();
    let now = clock::now();
    let zone = api.controller.zone();
    let mut troubles = Troubles::of_zone(&api.controller, &condition, &zone, now);
    for (id, device) in machines::booted(zone.plan()) {
        troubles.add_machine(&zone, id, device, now);
    }
    let (troubles, more_troubles) = troubles.listed(TROUBLES_MAX);
    Json(Findings {
        in_force: condition.design_refused.is_none(),
        refused: condition.design_refused,
        read: condition.design_read,
        findings: words::findings(&condition.files, &condition.findings),
        troubles,
        more_troubles,
    })
}

/// Of a network.
fn foreign_server(heard: Heard) -> Trouble {
    let others = match heard.others {
        0 => String::new(),
        1 => "; 1 other machine hears it too".to_owned(),
        others => format!("; {others} other machines hear it too"),
    };
    Trouble {
        about: "dhcp".to_owned(),
        location: Some(heard.by),
        change: None,
        code: Some(Code::ForeignServer.to_string()),
        sentence: lifecycle::probe::in_words(&heard.server) + &others,
    }
}

/// Of one machine.
fn trouble(device: &Device, attention: &Attention<'_>) -> Trouble {
    let (about, code) = match attention {
        Attention::Miscabled(code, _) => ("cabling", Some(code.to_string())),
        _ => ("machine", None),
    };
    Trouble {
        about: about.to_owned(),
        location: Some(device.location.clone()),
        change: None,
        code,
        sentence: attention.in_words(&device.name),
    }
}

/// Of the controller itself.
fn of_controller(controller: &Controller, condition: &Condition, now: Time) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut add = |about: &str, sentence: String| {
        troubles.push(Trouble {
            about: about.to_owned(),
            location: None,
            change: None,
            code: None,
            sentence,
        });
    };
    if let Some(trouble) = &condition.store_trouble {
        add("store", format!("nothing is stored: {trouble}"));
    }
    if let Some(warning) = condition.sharing.as_ref().and_then(Leading::namesake) {
        add("name", warning);
    }
    if let Some(refused) = &condition.design_refused {
        add("design", format!("the newest design is not in force: {refused}"));
    }
    if let Some(ahead) = condition.clock_behind {
        add(
            "clock",
            format!(
                "this host's clock was behind the last event by {} s at the start: set it",
                ahead.as_secs()
            ),
        );
    }
    if now < controller.started {
        add(
            "clock",
            "this host's clock went back since the start: times in the history are out of order".to_owned(),
        );
    }
    for trouble in &condition.site_troubles {
        add("boot-files", trouble.clone());
    }
    controller.edges_in_trouble().into_iter().for_each(|sentence| add("edge", sentence));
    let counters = &controller.counters;
    let dropped = counters.events_dropped.get();
    if dropped > 0 {
        add("packets", format!("{dropped} events came faster than they could be looked at and were dropped"));
    }
    let damped = counters.events_damped.get();
    if damped > 0 {
        add(
            "packets",
            format!("{damped} sightings came faster than any machine boots, and were not looked at"),
        );
    }
    let panicked: u64 = Protocol::ALL.iter().map(|protocol| counters.of(*protocol).panicked.get()).sum();
    if panicked > 0 {
        add(
            "packets",
            format!("{panicked} packets met a bug of ours and were lost; standard error tells which"),
        );
    }
    let since = Time(now.0.saturating_sub(MET_LATELY.as_millis() as u64));
    let elsewhere = controller.refusals.met_since(Reason::OtherMachine, since);
    if elsewhere > 0 {
        let ports = lifecycle::change::counted(elsewhere, "port");
        let minutes = MET_LATELY.as_secs() / 60;
        add(
            "refusals",
            format!(
                "hardware that belongs elsewhere asked at {ports} in the last {minutes} minutes; see `zw show refusals`"
            ),
        );
    }
    troubles
}
