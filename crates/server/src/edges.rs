//! The zone's edges, as a controller sees them: who is one, what each is told, how each is.
//!
//! An administrator adds one, with the addresses by which machines reach it, and carries its ticket there. What is kept of it is one
//! secret of the store, by its name. A key that is not the one kept is not believed: that list is the list of revoked ones too.
//!
//! | module | what it does                                                       |
//! |--------|---------------------------------------------------------------------|
//! | `feed` | what is new for an edge, from the zone as it is                      |
//! | `door` | their requests, from the agents' listener                            |

mod door;
mod feed;

pub(crate) use door::Door;
pub(crate) use feed::{digest, document};

use crate::agents::random;
use crate::clock;
use crate::controller::Controller;
use crate::keeper::Message;
use api::agent::{Octets, Secret};
use api::edge::{Edge, Report, Ticket, is_name};
use feed::Feed;
use model::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What an edge's secret is called, before its name.
const PREFIX: &str = "edge/";
/// Edges of a zone at most: one for each pod of the largest, and some.
pub(crate) const EDGES_MAX: usize = 1024;
/// How often it is looked what other controllers did to edges: sooner than a machine that is ready listens for DHCP servers first.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A ticket is good for so long.
pub(crate) const TICKET_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What is kept of an edge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) added: Time,
    pub(crate) by: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// SHA-256 of the ticket's token, until it is spent.
    token: Option<Octets>,
    until: Time,
    /// SHA-256 of its public key.
    key: Option<Octets>,
    /// It is none any more.
    pub(crate) is_removed: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Edges {
    /// Those that spoke to this controller, as they were then.
    seen: Mutex<BTreeMap<String, Seen>>,
    feed: Mutex<Feed>,
    /// All of them, as they were kept when it was looked last.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// Where machines reach them; read with the boot files.
    addresses: Arc<Mutex<Vec<IpAddr>>>,
}

/// How one was when it asked last.
#[derive(Clone, Debug)]
struct Seen {
    at: Time,
    generation: Option<u64>,
    release: String,
    report: Report,
}

impl Edges {
    /// Beside whoever reads where they are.
    pub(crate) fn new(addresses: Arc<Mutex<Vec<IpAddr>>>) -> Self {
        Self { addresses, ..Self::default() }
    }
}

/// Where machines reach the edges of a store.
pub(crate) fn addresses(history: &store::History) -> Result<Vec<IpAddr>, String> {
    Ok(reached(&all(history)?))
}

fn reached(all: &BTreeMap<String, Kept>) -> Vec<IpAddr> {
    all.values().filter(|kept| !kept.is_removed).flat_map(|kept| kept.addresses.clone()).collect()
}

/// Looks now and then where edges are, if others share the store: another controller may have added one. Until it is time to stop.
pub(crate) async fn watch(controller: Arc<Controller>, mut stopping: watch::Receiver<bool>) {
    loop {
        if controller.shares() {
            // It is looked again.
            let _ = controller.look_at_edges().await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

fn all(history: &store::History) -> Result<BTreeMap<String, Kept>, String> {
    let mut all = BTreeMap::new();
    for secret in history.secrets().map_err(|failure| failure.to_string())? {
        let Some(name) = secret.strip_prefix(PREFIX) else { continue };
        if let Some(kept) = read(history, name)? {
            all.insert(name.to_owned(), kept);
        }
    }
    Ok(all)
}

fn read(history: &store::History, name: &str) -> Result<Option<Kept>, String> {
    let secret = history.secret(&format!("{PREFIX}{name}")).map_err(|failure| failure.to_string())?;
    secret
        .map(|text| {
            serde_json::from_slice(&text).map_err(|error| format!("what is kept of the edge {name}: {error}"))
        })
        .transpose()
}

impl Controller {
    /// What is kept of an edge.
    pub(crate) async fn edge(self: &Arc<Self>, name: &str) -> Result<Option<Kept>, String> {
        let (controller, name) = (Arc::clone(self), name.to_owned());
        let read = move || read(&controller.history.lock().unwrap_or_else(PoisonError::into_inner), &name);
        tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
    }

    async fn keep_edge(self: &Arc<Self>, name: &str, kept: &Kept) -> Result<(), String> {
        let bytes = serde_json::to_vec(kept).map_err(|error| error.to_string())?;
        let (asker, stored) = oneshot::channel();
        let message = Message::Secret { name: format!("{PREFIX}{name}"), bytes, asker };
        if !self.inbox.send(message) {
            return Err("the controller is too busy; ask again".to_owned());
        }
        stored.await.map_err(|_| "it could not be stored".to_owned())??;
        self.look_at_edges().await
    }

    /// Reads which edges there are: another controller may have added one.
    async fn look_at_edges(self: &Arc<Self>) -> Result<(), String> {
        let controller = Arc::clone(self);
        let read = move || all(&controller.history.lock().unwrap_or_else(PoisonError::into_inner));
        let all = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())??;
        *self.edges.addresses.lock().unwrap_or_else(PoisonError::into_inner) = reached(&all);
        *self.edges.kept.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    /// Adds an edge, or gives one another ticket and other addresses; its key of before is worth nothing from then on.
    pub(crate) async fn add_edge(
        self: &Arc<Self>,
        name: &str,
        mut addresses: Vec<IpAddr>,
        by: &str,
        pin: &str,
    ) -> Result<Ticket, String> {
        if !is_name(name) {
            return Err(format!(
                "{name} cannot be an edge's name: lower-case letters, digits and inner hyphens"
            ));
        }
        if addresses.is_empty() {
            return Err("name the address at which machines reach it".to_owned());
        }
        addresses.dedup();
        if let Some(odd) = addresses.iter().find(|address| address.is_unspecified() || address.is_multicast())
        {
            return Err(format!("{odd} is no address at which machines reach anything"));
        }
        let controllers = self.view.load().boot.controllers.clone();
        if let Some(taken) = addresses.iter().find(|address| controllers.contains(address)) {
            return Err(format!("{taken} is a controller's address"));
        }
        let others = {
            let (controller, name) = (Arc::clone(self), name.to_owned());
            let read = move || all(&controller.history.lock().unwrap_or_else(PoisonError::into_inner));
            let mut others = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())??;
            others.remove(&name);
            others.retain(|_, kept| !kept.is_removed);
            others
        };
        if others.len() >= EDGES_MAX {
            return Err(format!("there are {EDGES_MAX} edges already"));
        }
        for (other, kept) in &others {
            if let Some(taken) = addresses.iter().find(|address| kept.addresses.contains(address)) {
                return Err(format!("{taken} is the address of the edge {other}"));
            }
        }
        let token = random::<32>().map_err(|error| error.to_string())?;
        let now = clock::now();
        let kept = Kept {
            added: now,
            by: by.to_owned(),
            addresses,
            token: Some(Octets(Sha256::digest(token).to_vec())),
            until: now + TICKET_LIFE,
            key: None,
            is_removed: false,
        };
        self.keep_edge(name, &kept).await?;
        let token = Secret(Octets(token.to_vec()).to_string());
        Ok(Ticket { name: name.to_owned(), pin: pin.to_owned(), token })
    }

    /// Removes an edge: its certificate is worth nothing from then on, and it is told so when it asks.
    pub(crate) async fn remove_edge(self: &Arc<Self>, name: &str) -> Result<(), String> {
        let Some(kept) = self.edge(name).await?.filter(|kept| !kept.is_removed) else {
            return Err(format!("there is no edge {name}"));
        };
        let kept = Kept { token: None, is_removed: true, ..kept };
        self.keep_edge(name, &kept).await?;
        self.edges.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// All edges, as they are kept and as this controller heard of them.
    pub(crate) async fn list_edges(self: &Arc<Self>) -> Result<Vec<Edge>, String> {
        self.look_at_edges().await?;
        Ok(self.known_edges())
    }

    /// The same as they were when it was looked last; nothing is waited for.
    pub(crate) fn known_edges(&self) -> Vec<Edge> {
        let kept = self.edges.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.edges.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let there = kept.iter().filter(|(_, kept)| !kept.is_removed);
        let listed = there.map(|(name, kept)| {
            let seen = seen.get(name);
            Edge {
                heard: seen.map(|seen| seen.at),
                generation: seen.and_then(|seen| seen.generation),
                release: seen.map(|seen| seen.release.clone()),
                report: seen.map(|seen| seen.report.clone()),
                enrolled: kept.key.is_some(),
                name: name.clone(),
                addresses: kept.addresses.clone(),
                added: kept.added,
                by: kept.by.clone(),
            }
        });
        listed.collect()
    }

    /// What there is to say of edges to whoever looks at the zone.
    pub(crate) fn edges_in_trouble(&self) -> Vec<String> {
        let seen = self.edges.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = seen.iter().filter_map(|(name, seen)| {
            let why = seen.report.refused.as_ref()?;
            Some(format!("the edge {name} stays with what it has: {why}"))
        });
        refused.collect()
    }
}
