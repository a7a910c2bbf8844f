//! Virtual media: an image at a URL as the machine's CD.

use crate::address::{action, linked, transfer_protocol};
use crate::error::Error;
use crate::http::Ask;
use crate::session::Bmc;
use serde_json::{Value, json};

/// One slot.
struct Slot {
    path: String,
    body: Value,
}

impl Bmc {
    /// Inserts the image at `url`, which the BMC itself fetches. What is in the slot is ejected first, unless it is that.
    pub async fn insert_media(&mut self, url: &str) -> Result<(), Error> {
        let slots = self.slots().await?;
        let is_there = |slot: &Slot| self.is_full(&slot.body) && slot.body["Image"].as_str() == Some(url);
        if slots.iter().any(is_there) {
            return Ok(());
        }
        let free = slots.iter().find(|slot| !self.is_full(&slot.body));
        let slot = match free {
            Some(slot) => slot,
            None => {
                let slot = slots.first().ok_or_else(|| Error::missing("virtual CD that takes a URL"))?;
                self.eject(slot).await?;
                slot
            }
        };
        self.tell(format!("{url} to be inserted"), None);
        let target = action(&slot.body, "#VirtualMedia.InsertMedia");
        let answer = match target {
            Some(target) => {
                // The URL alone: the rest has defaults, and BMCs refuse what they do not know (Supermicro and iLO 4:
                // ansible-collections/community.general#4839; iDRAC: stmcginnis/gofish#276).
                let short = json!({ "Image": url });
                match self.ask(&Ask::post(&target, &short)).await {
                    Err(error) if error.is("ActionParameterMissing") || error.is("PropertyMissing") => {
                        let long = json!({ "Image": url, "Inserted": true, "WriteProtected": true,
                            "TransferProtocolType": transfer_protocol(url), "TransferMethod": "Stream" });
                        self.ask(&Ask::post(&target, &long)).await?
                    }
                    answer => answer?,
                }
            }
            // Lenovo before XCC 2.5 (lenovo/python-redfish-lenovo#21).
            None => self.patch(&slot.path, &json!({ "Image": url, "Inserted": true })).await?,
        };
        self.finish(answer, "the image to be inserted", self.limits.media).await
    }

    /// Ejects whatever is inserted. Gives how many images that were.
    pub async fn eject_media(&mut self) -> Result<usize, Error> {
        let slots = self.slots().await?;
        let full: Vec<&Slot> = slots.iter().filter(|slot| self.is_full(&slot.body)).collect();
        for slot in &full {
            self.eject(slot).await?;
        }
        Ok(full.len())
    }

    async fn eject(&mut self, slot: &Slot) -> Result<(), Error> {
        self.tell("the old image to be ejected".to_owned(), None);
        let answer = match action(&slot.body, "#VirtualMedia.EjectMedia") {
            Some(target) => self.ask(&Ask::post(&target, &json!({}))).await?,
            None => self.patch(&slot.path, &json!({ "Image": null, "Inserted": false })).await?,
        };
        self.finish(answer, "the image to be ejected", self.limits.media).await
    }

    /// The slots that can be a CD: at the system where newer BMCs have them, at the manager where older ones do (iDRAC moved
    /// them with 6.00.02: dell/iDRAC-Redfish-Scripting#265).
    async fn slots(&mut self) -> Result<Vec<Slot>, Error> {
        let system = self.system().await?;
        let prefix = self.differences().media_slots;
        let mut slots = Vec::new();
        for of in [&system.body, &system.manager_body] {
            let Some(collection) = linked(&of["VirtualMedia"]) else { continue };
            let members = match self.members(&collection).await {
                Ok(members) => members,
                Err(error) if error.status() == Some(404) => continue,
                Err(error) => return Err(error),
            };
            for path in members.into_iter().take(crate::limits::PARTS_MAX) {
                let body = self.get(&path).await?.body;
                let id = body["Id"].as_str().unwrap_or_default();
                if is_cd(&body) && prefix.as_ref().is_none_or(|prefix| id.starts_with(prefix)) {
                    slots.push(Slot { path, body });
                }
            }
            if !slots.is_empty() {
                break;
            }
        }
        if slots.is_empty() { Err(Error::missing("virtual CD that takes a URL")) } else { Ok(slots) }
    }

    fn is_full(&self, slot: &Value) -> bool {
        if self.differences().media_empty_if_not_connected && slot["ConnectedVia"] == "NotConnected" {
            return false;
        }
        match slot["Inserted"].as_bool() {
            Some(inserted) => inserted,
            None => slot["Image"].as_str().is_some_and(|image| !image.is_empty()),
        }
    }
}

/// A slot that says nothing of its kinds may be anything.
fn is_cd(slot: &Value) -> bool {
    let kinds = slot["MediaTypes"].as_array();
    kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind == "CD" || kind == "DVD"))
}
