//! What is kept of each BMC: credentials and certificate, sealed in the store. They are never told to anybody.

use crate::controller::Controller;
use crate::keeper::Message;
use bmc::{Adoption, Fingerprint};
use model::Location;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, PoisonError};
use store::{KEY_FILE, Unsealed};
use tokio::sync::oneshot;

/// What is kept. Fields that are added later need a default: rows of earlier releases lack them.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The account that we log in with, and the password that the factory's account has.
    pub(super) adoption: Adoption,
    /// Whose the factory's account is.
    pub(super) factory_user: String,
    /// The certificate that it showed when it was adopted.
    pub(super) certificate: Option<Fingerprint>,
    /// The adoption came to its end.
    pub(super) is_adopted: bool,
    /// The account is the one that was given.
    pub(super) is_as_given: bool,
}

fn name(location: &Location) -> String {
    format!("bmc/{location}")
}

/// Something is kept, and it was sealed with another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Foreign;

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what is kept of this BMC was sealed with another {KEY_FILE}: put that back, or adopt the BMC again with an account that it has"
        )
    }
}

/// What is kept of the BMC of a place, if anything is.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn read(
    controller: &Arc<Controller>,
    location: &Location,
) -> Result<Result<Option<Kept>, Foreign>, String> {
    let (controller, name) = (Arc::clone(controller), name(location));
    let task = tokio::task::spawn_blocking(move || {
        let sealed = {
            let history = controller.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.secret(&name).map_err(|failure| failure.to_string())?
        };
        let Some(sealed) = sealed else { return Ok(Ok(None)) };
        Ok(match controller.bmcs.unseal(&name, &sealed) {
            Unsealed::Plain(plain) => serde_json::from_slice(&plain).map(Some).map_err(|_| Foreign),
            Unsealed::Foreign => Err(Foreign),
        })
    });
    task.await.unwrap_or_else(|_| Err("the store cannot be read now".to_owned()))
}

/// Keeps it. It is on the disk when this returns.
pub(super) async fn write(controller: &Controller, location: &Location, kept: &Kept) -> Result<(), String> {
    let name = name(location);
    let plain = serde_json::to_vec(kept).map_err(|error| error.to_string())?;
    let sealed = controller.bmcs.seal(&name, &plain).ok_or("the system has no random numbers")?;
    let (asker, stored) = oneshot::channel();
    let is_taken = controller.inbox.send(Message::Secret { name, bytes: sealed, asker });
    let stored = if is_taken { stored.await.ok() } else { None };
    stored.unwrap_or_else(|| Err("the controller is too busy to store it; try again".to_owned()))
}
