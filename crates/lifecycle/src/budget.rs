//! One disruption budget for everything that takes machines out of service on purpose.
//!
//! In: the zone. Out: whether one machine more may be taken, and if not, because of whom. Every kind of change asks here (a
//! rollout, a restart, a reinstallation, an operator's drain, FleetLock), and the door asks again when the event comes,
//! so that whoever decided on what it saw a moment ago cannot exceed it. What is broken is out already; what never was in
//! service does not count.

use crate::why::duration;
use crate::zone::Zone;
use model::change::{Holder, Lease};
use model::design::{Budget, Device, Share};
use model::facts::{Machine, Purpose, State};
use model::ids::RoleId;
use model::{DeviceId, Facts, Location, Plan, Time};
use std::collections::BTreeMap;

/// Of a role that no budget names, so many in a hundred may be out.
const ORDINARY: Share = Share::Percent(10);
/// The most machines that a refusal names.
const NAMED_MAX: usize = 3;
/// The most that are listed of a budget in one failure domain.
const LISTED_MAX: usize = 20;

/// What every budget of a zone has left.
#[derive(Clone, Debug)]
pub struct Budgets<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    rows: Vec<Row<'a>>,
    /// The rows that a role's machines count in.
    of_role: Vec<Vec<usize>>,
}

/// One budget.
#[derive(Clone, Debug)]
struct Row<'a> {
    name: &'a str,
    zone: Share,
    pod: Option<Share>,
    rack: Option<Share>,
    /// By the location of the zone, pod or rack.
    domains: BTreeMap<&'a str, Domain>,
}

/// The machines of one budget in one failure domain.
#[derive(Clone, Debug, Default)]
struct Domain {
    members: usize,
    out: Vec<DeviceId>,
}

/// What is left of a budget in one failure domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Margin {
    /// The budget, or the role that it is the ordinary one of.
    pub budget: String,
    /// The zone, pod or rack.
    pub domain: String,
    /// How many machines count.
    pub members: usize,
    /// How many may be out.
    pub limit: usize,
    /// How many are.
    pub out: usize,
    /// Which, and why.
    pub holders: Vec<String>,
}

/// What the tightest of the budgets that a wave draws on leaves, while the wave has as many machines out as it may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tightest {
    /// The budget, or the role that it is the ordinary one of.
    pub budget: String,
    /// The zone, pod or rack.
    pub domain: String,
    /// How many machines count.
    pub members: usize,
    /// How many may be out.
    pub limit: usize,
    /// How many are, before the wave begins.
    pub out: usize,
    /// How many of the wave are out at once at most; 0: it waits.
    pub taken: usize,
}

impl Tightest {
    /// How many more may be out meanwhile.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.out + self.taken)
    }
}

impl<'a> Budgets<'a> {
    /// Counts.
    pub fn of(zone: &'a Zone) -> Self {
        Self::count(zone.plan(), zone.facts())
    }

    /// The same of a plan and facts.
    pub fn count(plan: &'a Plan, facts: &'a Facts) -> Self {
        let design = &plan.design;
        let mut rows: Vec<Row<'a>> = design.budgets.iter().map(Row::of).collect();
        let mut of_role = vec![Vec::new(); design.roles.len()];
        for (position, role) in design.roles.iter().enumerate() {
            // While a change is under way a role may stand there twice, as it was and as it will be: they are one.
            let is_it = |id: &RoleId| design.roles[id.index()].name == role.name;
            let named =
                design.budgets.iter().enumerate().filter(|(_, budget)| budget.roles.iter().any(is_it));
            let mut named: Vec<usize> = named.map(|(row, _)| row).collect();
            if named.is_empty() {
                let own = rows.iter().skip(design.budgets.len()).position(|row| row.name == role.name);
                named.push(own.map_or(rows.len(), |own| own + design.budgets.len()));
                if own.is_none() {
                    rows.push(Row::ordinary(&role.name));
                }
            }
            of_role[position] = named;
        }
        let mut budgets = Self { plan, facts, rows, of_role };
        for (index, device) in design.devices.iter().enumerate() {
            let Some(machine) = facts.machines.get(&device.location).filter(|machine| counts(machine)) else {
                continue;
            };
            budgets.add(DeviceId::from_index(index), is_out(plan, machine));
        }
        budgets
    }

    fn add(&mut self, id: DeviceId, is_out: bool) {
        let (device, design) = (&self.plan.design.devices[id.index()], &self.plan.design);
        let Some(role) = device.role else { return };
        for row in &self.of_role[role.index()] {
            let row = &mut self.rows[*row];
            for (_, domain) in domains(design, device) {
                let domain = row.domains.entry(domain).or_default();
                domain.members += 1;
                if is_out {
                    domain.out.push(id);
                }
            }
        }
    }

    /// Whether a machine may be taken out for a holder, or why not: a sentence that names who has what it needs.
    ///
    /// # Errors
    /// The sentence.
    pub fn may_take(&self, id: DeviceId, holder: &Holder) -> Result<(), String> {
        let device = &self.plan.design.devices[id.index()];
        let machine = self.facts.machines.get(&device.location);
        if let Some(lease) = machine.and_then(|machine| machine.lease.as_ref())
            && lease.holder != *holder
            && self.stands(lease)
        {
            return Err(format!("it is taken already: {}", in_words(lease)));
        }
        // What is out already costs nothing.
        if machine.is_none_or(|machine| !counts(machine) || is_out(self.plan, machine)) {
            return Ok(());
        }
        self.has_room(id)
    }

    /// The same at the last moment, of a machine that was taken a while ago and is still in service: others may have broken since.
    ///
    /// # Errors
    /// The sentence.
    pub fn may_go_on(&self, id: DeviceId) -> Result<(), String> {
        let machine = self.facts.machines.get(&self.plan.design.devices[id.index()].location);
        match machine.is_some_and(|machine| counts(machine) && machine.state == State::Ready) {
            true => self.has_room(id),
            false => Ok(()),
        }
    }

    /// Whether one machine more may be out.
    fn has_room(&self, id: DeviceId) -> Result<(), String> {
        let device = &self.plan.design.devices[id.index()];
        let Some(role) = device.role else { return Ok(()) };
        for row in &self.of_role[role.index()] {
            let row = &self.rows[*row];
            for (reach, place) in domains(&self.plan.design, device) {
                let Some((limit, domain)) = row.limit(reach).zip(row.domains.get(place)) else { continue };
                let limit = limit.of(domain.members);
                let others = domain.out.iter().filter(|out| **out != id).count();
                if others >= limit {
                    return Err(self.full(row.name, place, limit, domain));
                }
            }
        }
        Ok(())
    }

    /// Counts a machine that is taken out from here on.
    pub fn take(&mut self, id: DeviceId) {
        let (device, design) = (&self.plan.design.devices[id.index()], &self.plan.design);
        let Some(role) = device.role else { return };
        for row in &self.of_role[role.index()] {
            for (_, place) in domains(design, device) {
                let Some(domain) = self.rows[*row].domains.get_mut(place) else { continue };
                if !domain.out.contains(&id) {
                    domain.out.push(id);
                }
            }
        }
    }

    /// Which budget leaves least while as many of these machines are out as may be; `None`: none of them costs anything.
    pub fn tightest(&self, machines: impl Iterator<Item = DeviceId>) -> Option<Tightest> {
        let design = &self.plan.design;
        let mut after = self.clone();
        let mut drawn_on = BTreeMap::new();
        for id in machines {
            let device = &design.devices[id.index()];
            let Some(role) = device.role else { continue };
            if self.facts.machines.get(&device.location).is_none_or(|machine| !counts(machine)) {
                continue;
            }
            if after.has_room(id).is_ok() {
                after.take(id);
            }
            for row in &self.of_role[role.index()] {
                for (reach, place) in domains(design, device) {
                    if let Some(limit) = self.rows[*row].limit(reach) {
                        drawn_on.insert((*row, place), limit);
                    }
                }
            }
        }
        let all = drawn_on.into_iter().filter_map(|((row, place), limit)| {
            let (before, after) = (self.rows[row].domains.get(place)?, after.rows[row].domains.get(place)?);
            Some(Tightest {
                budget: self.rows[row].name.to_owned(),
                domain: place.to_owned(),
                members: before.members,
                limit: limit.of(before.members),
                out: before.out.len(),
                taken: after.out.len() - before.out.len(),
            })
        });
        all.min_by_key(|tightest| (tightest.left(), tightest.limit))
    }

    /// What is left where something limits it, in the order of the budgets, the zone first.
    pub fn margins(&self, now: Time) -> Vec<Margin> {
        let mut margins = Vec::new();
        for row in &self.rows {
            for (place, domain) in &row.domains {
                let reach = place.matches('/').count().min(2);
                let Some(limit) = row.limit([Domains::Zone, Domains::Pod, Domains::Rack][reach]) else {
                    continue;
                };
                margins.push(Margin {
                    budget: row.name.to_owned(),
                    domain: (*place).to_owned(),
                    members: domain.members,
                    limit: limit.of(domain.members),
                    out: domain.out.len(),
                    holders: self.held(domain, now),
                });
            }
        }
        margins
    }

    /// How many machines of these could be taken at once, if nothing else were out: what a prediction reckons with.
    pub fn at_once(&self, machines: impl Iterator<Item = DeviceId>) -> usize {
        let mut empty = self.clone();
        for row in &mut empty.rows {
            row.domains.values_mut().for_each(|domain| domain.out.clear());
        }
        let mut taken = 0;
        for id in machines {
            let device = &self.plan.design.devices[id.index()];
            let Some(role) = device.role else { continue };
            let has_room = empty.of_role[role.index()].iter().all(|row| {
                domains(&self.plan.design, device).iter().all(|(reach, place)| {
                    let row = &empty.rows[*row];
                    row.limit(*reach)
                        .zip(row.domains.get(place))
                        .is_none_or(|(limit, domain)| domain.out.len() < limit.of(domain.members))
                })
            });
            if has_room {
                empty.take(id);
                taken += 1;
            }
        }
        taken
    }

    fn full(&self, name: &str, place: &str, limit: usize, domain: &Domain) -> String {
        let place = if place.contains('/') {
            Location::new(place).within_zone().to_owned()
        } else {
            "the zone".into()
        };
        let named: Vec<String> = self.named(domain).collect();
        let more = domain.out.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        match limit {
            0 => format!("the budget of {name} lets none in {place} be out"),
            _ => format!(
                "the budget of {name} lets {limit} of {} in {place} be out, and {} {}: {}{more}",
                domain.members,
                domain.out.len(),
                if domain.out.len() == 1 { "is" } else { "are" },
                named.join(", ")
            ),
        }
    }

    /// Some of those that are out, and why.
    fn named(&self, domain: &Domain) -> impl Iterator<Item = String> {
        self.out(domain, NAMED_MAX, |_| String::new())
    }

    /// More of them, with until when, or since when where nobody said that.
    fn held(&self, domain: &Domain, now: Time) -> Vec<String> {
        let listed = self.out(domain, LISTED_MAX, |machine| match &machine.lease {
            Some(lease) => format!("; {}", back(lease, now)),
            None => format!("; for {}", duration(now.since(machine.since))),
        });
        let more = domain.out.len().saturating_sub(LISTED_MAX);
        listed.chain((more > 0).then(|| format!("{more} more"))).collect()
    }

    fn out(
        &self,
        domain: &Domain,
        most: usize,
        until: impl Fn(&Machine) -> String,
    ) -> impl Iterator<Item = String> {
        domain.out.iter().take(most).filter_map(move |id| {
            let location = &self.plan.design.devices[id.index()].location;
            let machine = self.facts.machines.get(location)?;
            Some(format!("{} ({}{})", location.within_zone(), why_out(machine), until(machine)))
        })
    }

    /// Whether a lease keeps others away: that of a change that is over does not.
    fn stands(&self, lease: &Lease) -> bool {
        match &lease.holder {
            Holder::Change { id, .. } => {
                self.facts.changes.get(id).is_some_and(|change| change.is_under_way())
            }
            Holder::Operator { .. } | Holder::Fleetlock { .. } => true,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Domains {
    Zone,
    Pod,
    Rack,
}

impl<'a> Row<'a> {
    fn of(budget: &'a Budget) -> Self {
        Self {
            name: &budget.name,
            zone: budget.may_miss,
            pod: budget.per_pod,
            rack: budget.per_rack,
            domains: BTreeMap::new(),
        }
    }

    fn ordinary(name: &'a str) -> Self {
        Self { name, zone: ORDINARY, pod: None, rack: None, domains: BTreeMap::new() }
    }

    fn limit(&self, reach: Domains) -> Option<Share> {
        match reach {
            Domains::Zone => Some(self.zone),
            Domains::Pod => self.pod,
            Domains::Rack => self.rack,
        }
    }
}

/// The failure domains that a device is in, widest first.
fn domains<'a>(design: &'a model::Design, device: &'a Device) -> Vec<(Domains, &'a str)> {
    let mut domains = vec![(Domains::Zone, design.zone.name.as_str())];
    domains.extend(device.pod.map(|pod| (Domains::Pod, design.pods[pod.index()].location.as_str())));
    domains.extend(device.rack.map(|rack| (Domains::Rack, design.racks[rack.index()].location.as_str())));
    domains
}

/// Whether a machine counts: it was in service once, and was not taken out of it for good.
pub(crate) fn counts(machine: &Machine) -> bool {
    !machine.accepted.is_empty() && !matches!(machine.state, State::Retired { .. })
}

/// Whether it is out of service, or about to be.
fn is_out(plan: &Plan, machine: &Machine) -> bool {
    let is_going = machine
        .armed
        .is_some_and(|armed| armed.purpose == Purpose::Install && armed.generation == plan.generation);
    is_going || machine.lease.is_some() || machine.state != State::Ready
}

fn why_out(machine: &Machine) -> String {
    match (&machine.lease, &machine.state) {
        (Some(lease), _) => in_words(lease),
        (None, State::Draining { by, reason } | State::Maintenance { by, reason }) => {
            format!("{}, by {by}: {reason}", machine.state.name())
        }
        (None, state) => state.name().to_owned(),
    }
}

/// When what was taken should be back: `it should be back within 4 min 2 s`.
pub(crate) fn back(lease: &Lease, now: Time) -> String {
    match lease.deadline > now {
        true => format!("it should be back within {}", duration(lease.deadline.since(now))),
        false => format!("it should have been back {} ago", duration(now.since(lease.deadline))),
    }
}

/// `change 3 of alice: new kernel`.
pub fn in_words(lease: &Lease) -> String {
    format!("{}: {}", lease.holder, lease.reason)
}
