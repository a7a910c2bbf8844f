//! Power: what it is, and on, off, over again (`ComputerSystem.Reset`).

use crate::address::{action, path};
use crate::error::Error;
use crate::http::Ask;
use crate::message::harmless;
use crate::session::Bmc;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// Its action.
const RESET: &str = "#ComputerSystem.Reset";

/// What is asked of a machine's power.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// On.
    On,
    /// The system is asked to shut itself down.
    Off,
    /// Off at once.
    ForceOff,
    /// Over again at once; a machine that is off is put on.
    Cycle,
}

/// What a BMC says of the power.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PowerState {
    /// On.
    On,
    /// Off.
    Off,
    /// On its way, or a word that Redfish does not have.
    Other(String),
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Other(word) => f.write_str(&word.to_lowercase()),
        }
    }
}

impl Bmc {
    /// Whether the machine is on.
    pub async fn power_state(&mut self) -> Result<PowerState, Error> {
        Ok(state(&self.system_now().await?))
    }

    /// Does it, and waits until it shows. A state that is there already is left alone.
    pub async fn power(&mut self, wanted: Power) -> Result<PowerState, Error> {
        let is = self.power_state().await?;
        let (resets, then, limit) = match (wanted, &is) {
            (Power::On, PowerState::On) | (Power::Off | Power::ForceOff, PowerState::Off) => return Ok(is),
            (Power::On, _) | (Power::Cycle, PowerState::Off) => {
                (&["On", "ForceOn", "PushPowerButton"][..], PowerState::On, self.limits.power)
            }
            (Power::Off, _) => {
                (&["GracefulShutdown", "PushPowerButton"][..], PowerState::Off, self.limits.graceful)
            }
            (Power::ForceOff, _) => (&["ForceOff"][..], PowerState::Off, self.limits.power),
            (Power::Cycle, _) => return self.cycle().await,
        };
        let kind = self.known_reset(resets).await?;
        self.reset(&kind).await?;
        self.until_power(&then, limit).await
    }

    /// Off and on again, in one step if the BMC has one.
    async fn cycle(&mut self) -> Result<PowerState, Error> {
        // Never GracefulRestart: it waits for an operating system that may be what is broken, and an iDRAC 8 takes it for a
        // hard reset (dell/iDRAC-Redfish-Scripting#29).
        match self.known_reset(&["ForceRestart", "PowerCycle"]).await {
            Ok(kind) => {
                self.reset(&kind).await?;
                self.until_power(&PowerState::On, self.limits.power).await
            }
            Err(Error::Missing { .. }) => {
                self.reset("ForceOff").await?;
                self.until_power(&PowerState::Off, self.limits.power).await?;
                let on = self.known_reset(&["On", "ForceOn"]).await?;
                self.reset(&on).await?;
                self.until_power(&PowerState::On, self.limits.power).await
            }
            Err(error) => Err(error),
        }
    }

    async fn until_power(&mut self, state: &PowerState, limit: Duration) -> Result<PowerState, Error> {
        let end = Instant::now() + limit;
        let awaited = format!("power to be {state}");
        loop {
            self.tell(awaited.clone(), None);
            let is = self.power_state().await?;
            if is == *state {
                return Ok(is);
            }
            if Instant::now() + self.limits.poll > end {
                return Err(Error::TooSlow { awaited, limit });
            }
            tokio::time::sleep(self.limits.poll).await;
        }
    }

    /// The first of these resets that the BMC says it knows; the first of all if it says nothing.
    async fn known_reset(&mut self, wanted: &[&str]) -> Result<String, Error> {
        let system = self.system().await?;
        let action = &system.body["Actions"][RESET];
        let mut known = words(&action["ResetType@Redfish.AllowableValues"]);
        if known.is_empty()
            && let Some(info) = action["@Redfish.ActionInfo"].as_str().and_then(path)
            // A BMC that cannot tell is asked for what most know.
            && let Ok(info) = self.get(&info).await
        {
            let parameters = info.body["Parameters"].as_array().into_iter().flatten();
            known = parameters
                .filter(|parameter| parameter["Name"] == "ResetType")
                .flat_map(|parameter| words(&parameter["AllowableValues"]))
                .collect();
        }
        if known.is_empty() {
            known = wanted.iter().take(1).map(|word| (*word).to_owned()).collect();
        }
        let found = wanted.iter().find(|word| known.iter().any(|known| known == *word));
        found.map(|word| (*word).to_owned()).ok_or_else(|| {
            let known: Vec<String> = known.iter().take(16).map(|word| harmless(word)).collect();
            Error::missing(format!("reset {}; it knows {}", wanted.join(" or "), known.join(", ")))
        })
    }

    async fn reset(&mut self, kind: &str) -> Result<(), Error> {
        let system = self.system().await?;
        let target = action(&system.body, RESET).ok_or_else(|| Error::missing("reset action"))?;
        let body = json!({ "ResetType": kind });
        let answer = self.ask(&Ask::post(&target, &body)).await?;
        self.finish(answer, &format!("{kind} to be done"), self.limits.power).await
    }
}

/// The words of a list.
pub(crate) fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

pub(crate) fn state(system: &Value) -> PowerState {
    match system["PowerState"].as_str() {
        Some("On") => PowerState::On,
        Some("Off") => PowerState::Off,
        Some(other) => PowerState::Other(harmless(other)),
        None => PowerState::Other("unknown".to_owned()),
    }
}
