//! What is new for an edge: the plan as it was published, who keeps the one before, the installation, and the machines' facts as far as
//! views are made from them.
//!
//! Machines are counted by this process alone: an edge that has another's count is told all of them. The plan and the last event's
//! number are the zone's, and tell whether a controller is behind what an edge has.

use crate::changes;
use crate::controller::Controller;
use api::edge::{FileNews, Follow, Held, News, PlanNews, Position, SiteNews, Stream};
use lifecycle::Zone;
use model::facts::Machine;
use model::octets::hexadecimal;
use model::view::Site;
use model::{Generation, Location, Plan};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

/// The machines as edges are told of them, each with the count at which it became so.
#[derive(Default)]
pub(super) struct Feed {
    stream: Stream,
    machines: BTreeMap<Location, (u64, Option<Machine>)>,
    /// The plan in force, ready to be told.
    plan: Option<Arc<PlanNews>>,
    before: Option<Arc<PlanNews>>,
}

impl Feed {
    /// Looks at the machines.
    fn look(&mut self, zone: &Zone) {
        let next = self.stream.revision + 1;
        let mut is_news = false;
        for (location, machine) in &zone.facts().machines {
            let served = plan::view::served(machine);
            match self.machines.get_mut(location) {
                Some((_, known)) if *known == served => {}
                Some(known) => (*known, is_news) = ((next, served), true),
                // What is as if it had never been seen is no news.
                None if served.is_none() => {}
                None => {
                    self.machines.insert(location.clone(), (next, served));
                    is_news = true;
                }
            }
        }
        for (location, known) in &mut self.machines {
            if known.1.is_some() && !zone.facts().machines.contains_key(location) {
                (*known, is_news) = ((next, None), true);
            }
        }
        self.stream.revision = if is_news { next } else { self.stream.revision };
    }
}

/// What is new to who asks; blocking. `None`: nothing.
pub(super) fn news(controller: &Controller, asked: &Follow, own: &[IpAddr]) -> Result<Option<News>, String> {
    // Before the facts are looked at: they are as new as this at least.
    let seq = controller.news.borrow().seq;
    let mut feed = controller.edges.feed.lock().unwrap_or_else(PoisonError::into_inner);
    if feed.stream.epoch == 0 {
        let octets = crate::agents::random::<8>().map_err(|error| error.to_string())?;
        feed.stream.epoch = u64::from_be_bytes(octets) | 1;
    }
    let (whole, before, held) = {
        let zone = controller.zone();
        feed.look(&zone);
        let whole = Arc::clone(zone.whole());
        let change = lifecycle::change::holding(zone.facts(), whole.generation);
        let from = change.and_then(|change| change.plans()).map(|(from, _)| from);
        let held: Vec<Location> = change.map(|change| change.held().cloned().collect()).unwrap_or_default();
        (whole, from.filter(|_| !held.is_empty()), held)
    };
    let told = match feed.plan.as_ref().filter(|plan| plan.generation == whole.generation) {
        Some(plan) => Arc::clone(plan),
        None => Arc::new(told(controller, whole.generation, Some(&whole))?),
    };
    feed.plan = Some(Arc::clone(&told));
    let before = match (before, feed.before.take()) {
        (Some(wanted), Some(known)) if known.generation == wanted => Some(known),
        (Some(wanted), _) => Some(Arc::new(self::told(controller, wanted, None)?)),
        (None, _) => None,
    };
    feed.before.clone_from(&before);
    let held = Held { before: before.map(|plan| (*plan).clone()), machines: held };
    let view = controller.view.load_full();
    let site = site(&view.boot.site, &view.boot.controllers, own);
    let position = Position { generation: told.generation, design: told.design.clone(), seq };
    let have = asked.have.clone().unwrap_or_default();
    let has_plan = have.position.generation == position.generation && have.position.design == position.design;
    let are_all = have.stream.epoch != feed.stream.epoch || have.stream.revision > feed.stream.revision;
    let machines: BTreeMap<_, _> = match are_all {
        true => {
            let known = feed.machines.iter().filter(|(_, (_, machine))| machine.is_some());
            known.map(|(location, (_, machine))| (location.clone(), machine.clone())).collect()
        }
        false => {
            let changed = feed.machines.iter().filter(|(_, (revision, _))| *revision > have.stream.revision);
            changed.map(|(location, (_, machine))| (location.clone(), machine.clone())).collect()
        }
    };
    let news = News {
        position,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        now: crate::clock::now(),
        stream: feed.stream,
        plan: (!has_plan).then(|| (*told).clone()),
        held: (!has_plan || have.held != digest(&held)).then_some(held),
        site: (have.site != digest(&site)).then_some(site),
        are_all,
        machines,
    };
    let is_news = are_all
        || news.plan.is_some()
        || news.held.is_some()
        || news.site.is_some()
        || !news.machines.is_empty();
    Ok(is_news.then_some(news))
}

/// Where the zone stands, for who hears nothing new.
pub(super) fn nothing(controller: &Controller, asked: &Follow) -> News {
    let seq = controller.news.borrow().seq;
    let have = asked.have.clone().unwrap_or_default();
    News {
        position: Position { seq: seq.max(have.position.seq), ..have.position },
        release: env!("CARGO_PKG_VERSION").to_owned(),
        now: crate::clock::now(),
        stream: have.stream,
        ..News::default()
    }
}

/// A plan as it was published.
fn told(
    controller: &Controller,
    generation: Generation,
    compiled: Option<&Plan>,
) -> Result<PlanNews, String> {
    let published = changes::files_of(controller, generation)?;
    let document = match compiled {
        Some(plan) => document(plan),
        None => document(&changes::compiled(&published)?),
    };
    Ok(PlanNews { generation, design: published.digest, document, files: published.files })
}

/// The SHA-256 of a plan's document, by which two programs know that they decide alike.
pub(crate) fn document(plan: &Plan) -> String {
    digest(&plan::document(plan))
}

/// Of a value's JSON form.
pub(crate) fn digest(value: &impl Serialize) -> String {
    // Every value that is asked about has a JSON form.
    let text = serde_json::to_vec(value).unwrap_or_default();
    hexadecimal(&Sha256::digest(text))
}

fn site(site: &Site, controllers: &[IpAddr], own: &[IpAddr]) -> SiteNews {
    let file = |file: &model::view::SiteFile| FileNews {
        name: file.name.clone(),
        size: file.size,
        sha256: file.sha256.as_ref().map(|sha256| hexadecimal(sha256)),
    };
    SiteNews {
        controllers: controllers.to_vec(),
        own: own.to_vec(),
        edges: site.edges.clone(),
        boot_port: site.ports.boot,
        agents_port: site.ports.agents,
        ca_sha256: hexadecimal(&site.ca_sha256),
        proxy: site.proxy.clone(),
        systems: site.systems.clone(),
        files: site.files.iter().map(file).collect(),
    }
}
