//! The start of one of several controllers: it takes what the zone has, and only the first one founds it.

use super::AUTHORITY_SECRET;
use super::first::{Drawn, First};
use crate::clock;
use crate::controller::Condition;
use crate::files::ReadError;
use crate::options::{Journal, Options, StartError};
use crate::reload::{self, Words};
use model::Plan;
use model::finding::File;
use std::error::Error;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;
use store::etcd::{Access, Address};
use store::{FailureKind, Loaded, OpenError, Published, Store};

/// How often it is looked whether another has founded the zone.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often an etcd that does not answer is tried.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// What this controller is called.
pub(crate) fn name(options: &Options) -> String {
    let host = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    options
        .name
        .clone()
        .or_else(|| options.controller.clone())
        .or_else(host)
        .unwrap_or_else(|| "controller".to_owned())
}

/// The store with the zone in it; or, with nothing in it, as the one that is to found it. An etcd that does not answer is waited for: it
/// may start after us, and machines are not to wait for whoever would start us again.
pub(super) fn open(
    options: &Options,
    store: &(Address, Access),
    journal: &Journal,
) -> Result<(Store, Loaded), StartError> {
    let directory = &options.state;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| StartError::Store(OpenError::Directory { path: directory.clone(), source }))?;
    let mut has_said = false;
    loop {
        let failed = match open_now(options, store, journal) {
            Err(failed) if is_unreachable(&failed) => failed,
            Ok(opened) if has_said => {
                journal("etcd answers");
                return Ok(opened);
            }
            outcome => return outcome,
        };
        if !std::mem::replace(&mut has_said, true) {
            journal(&format!("nothing is answered yet, and etcd is waited for: {}", chain(&failed)));
        }
        std::thread::sleep(TRY_EVERY);
    }
}

fn is_unreachable(failed: &StartError) -> bool {
    match failed {
        StartError::Store(OpenError::Failed { source, .. }) | StartError::State(source) => {
            source.kind == FailureKind::Unreachable
        }
        _ => false,
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn open_now(
    options: &Options,
    (address, access): &(Address, Access),
    journal: &Journal,
) -> Result<(Store, Loaded), StartError> {
    let mut store = Store::open_etcd(address, access, &name(options)).map_err(StartError::Store)?;
    let mut has_said = false;
    loop {
        let loaded = store.load().map_err(StartError::State)?;
        let authority = store.secret(AUTHORITY_SECRET).map_err(StartError::State)?;
        if loaded.published.is_some() && authority.is_some() {
            return Ok((store, loaded));
        }
        let followed = store.follow().map_err(StartError::State)?;
        if store.is_leading() && !followed.reload && followed.batches.is_empty() {
            return Ok((store, loaded));
        }
        if !std::mem::replace(&mut has_said, true) {
            journal("another controller is founding the zone; waiting for its plan");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The plan that the zone has. What lies here does not replace it by a start: another controller may have newer files.
pub(super) fn plan_in_force(
    options: &Options,
    published: &Published,
    drawn: &Result<Drawn, ReadError>,
    journal: &Journal,
) -> Result<First, StartError> {
    let files = published.files.iter();
    let files = files.map(|(path, text)| File { path: path.clone(), text: text.as_str().into() });
    let reading = reload::compile(files.collect(), None, Words::default());
    let generation = published.generation;
    let Some(plan) = reading.plan else {
        let sentence = format!("this release cannot compile plan {generation}, which the zone has in force");
        return Err(StartError::Design { path: options.design.clone(), sentence });
    };
    let mut condition = Condition { design_read: clock::now(), ..Condition::default() };
    (condition.findings, condition.files) = (reading.findings, reading.files);
    condition.design_refused = match drawn {
        Ok(drawn) if drawn.digest == published.digest => None,
        Ok(_) => Some(format!(
            "the files in {} are not those of plan {generation}; changed there, or read by `zw reload`, they take its place",
            options.design.display()
        )),
        Err(error) => Some(reload::sentence(error)),
    };
    if let Some(sentence) = &condition.design_refused {
        journal(sentence);
    }
    Ok(First { plan: Plan { generation, ..plan }, digest: published.digest.clone(), condition })
}
