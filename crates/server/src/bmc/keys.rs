//! Halves of tokens that BMCs hand to their machines: made, put on a virtual CD, served to that BMC alone, ejected when they are spent.
//!
//! In: a place whose machine wants to enrol. Out: the half, and what its CD is called. The machine's agent is told the other half on its own
//! connection, so that neither who listens on one network nor who poses as the machine there has the token. Halves are in memory
//! only: after a restart there are others.

use super::{Job, perform};
use crate::agents::{ByBmc, Half, random};
use crate::controller::Controller;
use api::agent::Octets;
use api::bmc::Word;
use api::key_media;
use bmc::Bmc;
use lifecycle::enrolment::{Proof, SIGHTING_LIFE};
use model::event::What;
use model::{Event, Location};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where BMCs find them.
const PATH: &str = "/key/";
/// BMCs tell a CD from a floppy disk by this.
const ENDING: &str = ".iso";
/// An agent asks every few seconds; its BMC is not looked after as often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A BMC that is busy with something else is asked again so often, after this.
const TRIES: usize = 6;
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// In whose name.
const BY: &str = "the controller";

/// The halves that are out.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<Location, Arc<Key>>>);

/// One of them.
pub(crate) struct Key {
    /// What only the BMC is told: the name of the file, without its ending.
    name: String,
    half: [u8; 32],
    volume: String,
    bmc: IpAddr,
    image: Vec<u8>,
    made: Instant,
    /// When its BMC was last asked to have it inserted.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// That of a place; a new one if there is none, or it is old.
    fn of(&self, location: &Location, bmc: IpAddr) -> Result<Arc<Key>, String> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(location).filter(|key| key.is_good() && key.bmc == bmc) {
            return Ok(Arc::clone(key));
        }
        let fresh = || random::<32>().map_err(|error| error.to_string());
        let (name, half) = (Octets(fresh()?.to_vec()).to_string(), fresh()?);
        // The CD's name is public, and tells one from another.
        let of_its_own = random::<8>().map_err(|error| error.to_string())?;
        let volume = format!("ZW_{}", Octets(of_its_own.to_vec()).to_string().to_uppercase());
        let image = key_media::image(&volume, &half);
        let key = Key { name, half, volume, bmc, image, made: Instant::now(), asked: Mutex::default() };
        let key = Arc::new(key);
        keys.insert(location.clone(), Arc::clone(&key));
        Ok(key)
    }

    /// The CD at a path, for the BMC that it was made for.
    pub(crate) fn image(&self, path: &str, client: IpAddr) -> Option<Arc<Key>> {
        let name = path.strip_prefix(PATH)?.strip_suffix(ENDING)?;
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |key: &&Arc<Key>| key.bmc == client && key.name == name && key.is_good();
        keys.values().find(is_it).map(Arc::clone)
    }

    fn known(&self, location: &Location) -> Option<Arc<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(location).map(Arc::clone)
    }

    fn forget(&self, location: &Location) -> Option<Arc<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(location)
    }
}

impl Key {
    pub(crate) fn image(&self) -> &[u8] {
        &self.image
    }

    fn is_good(&self) -> bool {
        self.made.elapsed() < SIGHTING_LIFE
    }

    /// Whether its BMC is to be asked now.
    fn is_due(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = asked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if is_due {
            *asked = Some(Instant::now());
        }
        is_due
    }

    /// Has it inserted, unless it is. What somebody else has inserted stays.
    pub(super) async fn insert(&self, controller: &Controller, bmc: &mut Bmc) -> Result<(), bmc::Error> {
        let base = base(controller, self.bmc);
        bmc.insert_media(&format!("{base}{}{ENDING}", self.name), &base).await
    }

    /// Has it ejected.
    pub(super) async fn eject(&self, controller: &Controller, bmc: &mut Bmc) -> Result<(), bmc::Error> {
        let base = base(controller, self.bmc);
        bmc.eject_media(&format!("{base}{}", self.name)).await.map(|_| ())
    }

    /// An error of its BMC, without the name that only the BMC is told.
    pub(super) fn redacted(&self, why: &str) -> String {
        why.replace(&self.name, "…")
    }
}

impl ByBmc for Arc<Controller> {
    fn half(&self, location: &Location) -> Result<Half, String> {
        let bmc = super::address(self, location)?.socket.ip();
        let key = self.keys.of(location, bmc)?;
        Ok(Half { octets: key.half, volume: key.volume.clone() })
    }

    fn hand(&self, location: &Location) {
        let Some(key) = self.keys.known(location).filter(|key| key.is_due()) else { return };
        let (controller, location) = (Self::clone(self), location.clone());
        tokio::spawn(async move {
            if let Err(why) = patiently(&controller, &location, Job::HandKey(key)).await {
                let sentence = format!("its BMC cannot hand it its key: {why}");
                let what = What::NotProved { sentence, ek_sha256: None };
                controller.tell(Event { at: crate::clock::now(), location, what });
            }
        });
    }

    fn spent(&self, location: &Location) {
        let Some(key) = self.keys.forget(location) else { return };
        let (controller, location) = (Self::clone(self), location.clone());
        tokio::spawn(async move {
            // It opens nothing any more; should this fail, the next one takes its place.
            let _ = patiently(&controller, &location, Job::TakeKey(key)).await;
        });
    }
}

/// Puts the key of a place that needs one on its CD before its BMC starts the machine, which may see no CD that is inserted later.
pub(super) async fn insert_before_start(controller: &Arc<Controller>, location: &Location, bmc: &mut Bmc) {
    if controller.look(location).proof() != Proof::Bmc {
        return;
    }
    let key =
        super::address(controller, location).and_then(|bmc| controller.keys.of(location, bmc.socket.ip()));
    if let Ok(key) = key {
        // What goes wrong here goes wrong again, and is told, when its agent asks.
        let _ = key.insert(controller, bmc).await;
    }
}

async fn patiently(controller: &Arc<Controller>, location: &Location, job: Job) -> Result<Word, String> {
    for _ in 0..TRIES {
        if !controller.bmcs.is_busy(location) {
            break;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    perform(controller, location, job, BY, Arc::new(|_| {})).await
}

/// What the URLs of all keys begin with, as the BMC reaches this controller.
fn base(controller: &Controller, bmc: IpAddr) -> String {
    let ours = &controller.view.load().boot.controllers;
    let from = way_to(bmc).filter(|from| ours.contains(from));
    let from = from.or_else(|| ours.iter().find(|ours| ours.is_ipv4() == bmc.is_ipv4()).copied());
    let from = from.or_else(|| way_to(bmc)).unwrap_or(Ipv4Addr::LOCALHOST.into());
    match controller.options.ports.boot {
        0 | 80 => match from {
            IpAddr::V4(from) => format!("http://{from}{PATH}"),
            IpAddr::V6(from) => format!("http://[{from}]{PATH}"),
        },
        port => format!("http://{}{PATH}", SocketAddr::new(from, port)),
    }
}

/// The address that packets to a BMC leave from. Nothing is sent.
fn way_to(bmc: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if bmc.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((bmc, 443)).ok()?;
    socket.local_addr().ok().map(|from| from.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_one_bmc_and_gone_when_it_is_spent() {
        let (here, there) = (Location::new("z/p01/r1/u01"), Location::new("z/p01/r1/u02"));
        let [bmc, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let keys = Keys::default();
        let key = keys.of(&here, bmc).expect("made");
        assert_eq!(keys.of(&here, bmc).expect("the same").half, key.half);
        assert!(keys.of(&there, other).expect("another").half != key.half);
        let path = format!("{PATH}{}{ENDING}", key.name);
        assert!(keys.image(&path, bmc).is_some_and(|found| found.image() == key.image()));
        assert!(keys.image(&path, other).is_none() && keys.image(&path.replace(".iso", ""), bmc).is_none());
        assert!(keys.image(&format!("{PATH}{ENDING}"), bmc).is_none());
        assert!(keys.of(&here, other).expect("a new one: the place has another BMC").half != key.half);
        assert!(keys.forget(&here).is_some() && keys.forget(&here).is_none());
        assert!(keys.image(&path, bmc).is_none());
    }

    #[test]
    fn a_bmc_is_asked_once_in_a_while_and_its_words_do_not_tell_the_name() {
        let key = Keys::default().of(&Location::new("z/p01/r1/u01"), [10, 0, 0, 1].into()).expect("made");
        assert!(key.is_due() && !key.is_due());
        let said = key.redacted(&format!("no answer from http://10.0.0.9{PATH}{}{ENDING}", key.name));
        assert_eq!(said, "no answer from http://10.0.0.9/key/….iso");
    }

    #[test]
    fn it_is_known_which_address_leads_to_a_bmc() {
        assert_eq!(way_to(Ipv4Addr::LOCALHOST.into()), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
