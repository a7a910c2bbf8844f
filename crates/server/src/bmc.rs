//! The BMCs of the zone's machines: who may be asked, with which credentials, one thing at a time, and told to the history.
//!
//! In: a place and what is asked of its BMC. Out: what came of it. The address is the plan's; the credentials are
//! `credentials`'; how a BMC is spoken to is the crate `bmc`'s. What changes something is stored before the BMC
//! hears of it, with who asked, and once more with what came of it.
//!
//! | module        | what it does                                             |
//! |---------------|-----------------------------------------------------------|
//! | `credentials` | what is kept of each BMC, sealed                           |
//! | `asked`       | what is asked, in words and in the client's terms          |
//! | `keys`        | halves of tokens, on virtual CDs                            |
//! | `starting`    | armed machines are started from the network                |

mod asked;
mod credentials;
pub(crate) mod keys;
mod starting;

use crate::agents::{Verdict, random};
use crate::clock;
use crate::controller::Controller;
use api::bmc::{Ask, Power, Word};
use bmc::{Address, Adoption, Bmc, Credentials, Fingerprint, Limits, Password, Progress, Tell, Trust};
use credentials::{Foreign, Kept};
use model::design::Audience;
use model::event::{Started, What};
use model::facts::ByBmc;
use model::{DeviceId, Event, Location, Plan};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use store::Key;

pub(crate) use starting::run as start_armed;

/// BMCs that are spoken to at once. Each costs a TLS connection and little else; more would be a mistake of a script.
const AT_ONCE_MAX: usize = 256;
/// The account that we make. It tells whoever finds it whose it is.
const USER: &str = "zonewright";

/// Which BMCs are spoken to now, and the key of what is kept of all.
pub(crate) struct Bmcs {
    key: Key,
    busy: Mutex<HashMap<Location, String>>,
}

/// What is done with a BMC.
pub(crate) enum Job {
    /// What somebody asked for.
    Asked(Ask),
    /// The controller starts a machine that is armed.
    Start(Ask),
    /// Its machine is handed half of a token.
    HandKey(Arc<keys::Key>),
    /// That is taken back.
    TakeKey(Arc<keys::Key>),
}

impl Job {
    /// In words that complete "asked its BMC …"; never with a secret.
    fn in_words(&self) -> String {
        match self {
            Self::Asked(ask) | Self::Start(ask) => asked::in_words(ask),
            Self::HandKey(_) => "to hand its machine a key".to_owned(),
            Self::TakeKey(_) => "to take the key back".to_owned(),
        }
    }

    /// Whether it is stored who asked, before the BMC hears of it.
    fn changes(&self) -> bool {
        !matches!(self, Self::Asked(Ask::Inventory | Ask::Power { to: Power::Status }))
    }

    /// Whether the machine starts by it.
    fn starts(&self) -> bool {
        match self {
            Self::Asked(ask) => {
                matches!(ask, Ask::Boot { now: true, .. } | Ask::Power { to: Power::On | Power::Cycle })
            }
            Self::Start(_) => true,
            Self::HandKey(_) | Self::TakeKey(_) => false,
        }
    }
}

impl Bmcs {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, busy: Mutex::default() }
    }

    /// Makes a secret unreadable; `None` if the system has no random numbers.
    fn seal(&self, name: &str, plain: &[u8]) -> Option<Vec<u8>> {
        self.key.seal(name, plain)
    }

    fn unseal(&self, name: &str, sealed: &[u8]) -> store::Unsealed {
        self.key.unseal(name, sealed)
    }

    /// Whether the BMC of a place is spoken to now.
    fn is_busy(&self, location: &Location) -> bool {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).contains_key(location)
    }

    /// Takes the one place of a BMC; or says what is under way there.
    fn take(self: &Arc<Self>, location: &Location, asked: &str) -> Result<Busy, String> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = busy.get(location) {
            return Err(format!("its BMC was asked {other}, which is under way; ask again when it is done"));
        }
        if busy.len() >= AT_ONCE_MAX {
            return Err(format!("{AT_ONCE_MAX} BMCs are spoken to already; ask again in a while"));
        }
        busy.insert(location.clone(), asked.to_owned());
        Ok(Busy { of: Arc::clone(self), location: location.clone() })
    }
}

/// The place of one BMC; left, it is free again.
struct Busy {
    of: Arc<Bmcs>,
    location: Location,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.of.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.location);
    }
}

/// Does what is asked of the BMC of a place, to its end, and gives the last word. Everything else tells of it too: the
/// history who asked and what came of it, `tell` what it waits for.
///
/// A machine is booted from the network once and power cycled by `Ask::Boot { from: Pxe, once: true, now: true, .. }`.
pub(crate) async fn run(
    controller: &Arc<Controller>,
    location: &Location,
    ask: Ask,
    by: &str,
    tell: Tell,
) -> Result<Word, String> {
    asked::check(&ask)?;
    perform(controller, location, Job::Asked(ask), by, tell).await
}

/// Whether the BMC of a place could start its machine, if it were asked.
pub(crate) async fn may_start(controller: &Arc<Controller>, location: &Location) -> ByBmc {
    if address(controller, location).is_err() {
        return ByBmc::Absent;
    }
    match credentials::read(controller, location).await {
        Ok(Ok(Some(kept))) if kept.is_adopted => ByBmc::Allowed,
        _ => ByBmc::NotAdopted,
    }
}

/// See [`run`].
async fn perform(
    controller: &Arc<Controller>,
    location: &Location,
    job: Job,
    by: &str,
    tell: Tell,
) -> Result<Word, String> {
    let address = address(controller, location)?;
    let words = job.in_words();
    let _busy = controller.bmcs.take(location, &words).map_err(|why| format!("{location}: {why}"))?;
    let (changes, starts) = (job.changes(), matches!(job, Job::Start(_)));
    if changes {
        record(controller, location, by, &words, None, starts.then_some(Started::Begun)).await?;
    }
    let done = speak(controller, location, address, job, tell).await;
    if changes {
        let outcome = match &done {
            Ok(Word::Done { outcome, .. }) => outcome.clone(),
            Ok(_) => "done".to_owned(),
            Err(why) => format!("failed: {why}"),
        };
        // It is done or it is not: that it cannot be stored now changes nothing about that, and the store says so itself.
        let start = starts.then_some(if done.is_ok() { Started::Done } else { Started::Failed });
        let _ = record(controller, location, by, &words, Some(outcome), start).await;
    }
    done
}

async fn record(
    controller: &Controller,
    location: &Location,
    by: &str,
    asked: &str,
    outcome: Option<String>,
    start: Option<Started>,
) -> Result<(), String> {
    let what = What::Bmc { by: by.to_owned(), asked: asked.to_owned(), outcome, start };
    let event = Event { at: clock::now(), location: location.clone(), what };
    match controller.ask(event).await {
        Some(Verdict::Stored) => Ok(()),
        Some(Verdict::Refused(why)) => Err(format!("{location}: {why}")),
        None => Err(format!(
            "{location}: nothing is asked of a BMC while it cannot be stored who asked: {}",
            controller.condition().store_trouble.unwrap_or_default()
        )),
    }
}

/// Where the BMC of a place is by the plan.
fn address(controller: &Controller, location: &Location) -> Result<Address, String> {
    let zone = controller.zone();
    let device = zone.roster().device_at(location);
    match device.map(|device| planned(zone.plan(), device)) {
        Some(Some(address)) => Ok(Address::https(address)),
        _ => Err(format!(
            "{location} has no BMC with an address in the design: its model says `bmc = false`, or no network is `for = [\"bmc\"]`"
        )),
    }
}

fn planned(plan: &Plan, device: DeviceId) -> Option<IpAddr> {
    let interface =
        plan.interfaces_of(device).iter().find(|interface| interface.audience == Audience::Bmc)?;
    interface.v4.map(IpAddr::V4).or(interface.v6.map(IpAddr::V6))
}

async fn speak(
    controller: &Arc<Controller>,
    location: &Location,
    address: Address,
    job: Job,
    tell: Tell,
) -> Result<Word, String> {
    let failed = |error: bmc::Error| format!("the BMC of {location} at {address}: {error}");
    let found = credentials::read(controller, location).await?;
    if let Job::Asked(Ask::Adopt { user, password, as_given, certificate }) = job {
        // What cannot be read any more is replaced: whoever adopts brings an account that works.
        let kept = found.ok();
        let given = Credentials { user, password: Password::from(password.0) };
        let trust = match certificate {
            Some(text) => Trust::Pinned(asked::fingerprint(&text)?),
            None => Trust::First,
        };
        let shown = match as_given {
            true => use_as_given(controller, location, address, given, trust, tell).await?,
            false => adopt(controller, location, address, kept.flatten(), &given, trust, tell).await?,
        };
        let shown = shown.map(|shown| format!("; its certificate is {shown}")).unwrap_or_default();
        let how = if as_given { "used with the account that was given" } else { "ours" };
        return Ok(Word::Done { outcome: format!("{how}{shown}"), inventory: None });
    }
    let kept = found.map_err(|Foreign| Foreign.to_string())?;
    let Some(kept) = kept.filter(|kept| kept.is_adopted) else {
        return Err(format!(
            "the BMC of {location} is not adopted: nothing is known to log in with; run `zw bmc adopt {}`",
            location.within_zone()
        ));
    };
    let trust = kept.certificate.map_or(Trust::First, Trust::Pinned);
    let bmc = Bmc::connect(address, kept.adoption.ours, trust, Limits::default(), tell).await;
    let mut bmc = bmc.map_err(failed)?;
    if job.starts() {
        keys::insert_before_start(controller, location, &mut bmc).await;
    }
    let done = |words: &str| Word::Done { outcome: words.to_owned(), inventory: None };
    let outcome = match &job {
        Job::Asked(ask) | Job::Start(ask) => asked::perform(&mut bmc, ask).await,
        Job::HandKey(key) => key.insert(controller, &mut bmc).await.map(|()| done("it is on its virtual CD")),
        Job::TakeKey(key) => key.eject(controller, &mut bmc).await.map(|()| done("it is ejected")),
    };
    bmc.close().await;
    outcome.map_err(|error| match &job {
        Job::Asked(_) | Job::Start(_) => failed(error),
        Job::HandKey(key) | Job::TakeKey(key) => key.redacted(&failed(error)),
    })
}

/// What is kept is stored before the BMC hears of it, and again when all is done: an adoption that is cut off is begun again
/// with the same passwords, and a BMC that was adopted before keeps its.
async fn adopt(
    controller: &Arc<Controller>,
    location: &Location,
    address: Address,
    kept: Option<Kept>,
    given: &Credentials,
    trust: Trust,
    tell: Tell,
) -> Result<Option<Fingerprint>, String> {
    let adoption = match kept.as_ref().filter(|kept| !kept.is_as_given) {
        Some(kept) => kept.adoption.clone(),
        None => {
            let fresh = || random::<32>().map(|octets| Password::generate(&octets));
            let fresh = || fresh().map_err(|error| error.to_string());
            Adoption {
                ours: Credentials { user: USER.to_owned(), password: fresh()? },
                factory_password: fresh()?,
            }
        }
    };
    let mut now = Kept {
        adoption,
        factory_user: given.user.clone(),
        certificate: kept.as_ref().and_then(|kept| kept.certificate),
        is_adopted: kept.is_some_and(|kept| kept.is_adopted && !kept.is_as_given),
        is_as_given: false,
    };
    credentials::write(controller, location, &now).await?;
    let trust = (trust, now.certificate);
    let shown = bmc::adopt(address, given, &now.adoption, trust, Limits::default(), &tell).await;
    let shown = shown.map_err(|error| format!("the BMC of {location} at {address}: {error}"))?;
    now.certificate = shown;
    now.is_adopted = true;
    credentials::write(controller, location, &now).await?;
    Ok(shown)
}

/// Kept only once it works.
async fn use_as_given(
    controller: &Arc<Controller>,
    location: &Location,
    address: Address,
    given: Credentials,
    trust: Trust,
    tell: Tell,
) -> Result<Option<Fingerprint>, String> {
    let failed = |error: bmc::Error| format!("the BMC of {location} at {address}: {error}");
    let bmc = Bmc::connect(address, given.clone(), trust, Limits::default(), tell).await;
    let mut bmc = bmc.map_err(failed)?;
    // Where there are no sessions, the first reading is what shows that the password is right.
    let works = bmc.power_state().await;
    let certificate = bmc.certificate();
    bmc.close().await;
    works.map_err(failed)?;
    let adoption = Adoption { factory_password: given.password.clone(), ours: given.clone() };
    let kept = Kept { adoption, factory_user: given.user, certificate, is_adopted: true, is_as_given: true };
    credentials::write(controller, location, &kept).await?;
    Ok(certificate)
}

/// Takes progress to somebody who may be slow: what has no room is left out, since the next says more.
pub(crate) fn to_channel(sender: tokio::sync::mpsc::Sender<Word>) -> Tell {
    Arc::new(move |Progress { waits_for, percent }| {
        let _ = sender.try_send(Word::Waits { on: waits_for, percent });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmc_is_asked_one_thing_at_a_time() {
        let directory = std::env::temp_dir().join(format!("zw-bmcs-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let bmcs = Arc::new(Bmcs::new(Key::open_or_make(&directory).expect("a key")));
        let (one, other) = (Location::new("z/p01/r1/u01"), Location::new("z/p01/r1/u02"));
        let first = bmcs.take(&one, "for power off").expect("free");
        let second = bmcs.take(&other, "for its inventory").expect("another's is free");
        let why = bmcs.take(&one, "for power on").err().expect("taken");
        assert_eq!(why, "its BMC was asked for power off, which is under way; ask again when it is done");
        drop((first, second));
        assert!(bmcs.take(&one, "for power on").is_ok());
    }
}
