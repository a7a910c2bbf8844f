//! Virtual media: an image at a URL as the machine's CD.

use crate::address::{action, linked, transfer_protocol};
use crate::error::Error;
use crate::http::Ask;
use crate::message::harmless;
use crate::session::Bmc;
use serde_json::{Value, json};

/// One slot.
struct Slot {
    path: String,
    body: Value,
}

impl Slot {
    /// What is in it, if that is at a URL that begins so.
    fn image(&self, beginning: &str) -> Option<&str> {
        self.body["Image"].as_str().filter(|image| image.starts_with(beginning))
    }
}

impl Bmc {
    /// Inserts the image at `url`, which the BMC itself fetches, unless it is inserted already. Where no slot is free, one is whose image's URL
    /// begins with `over`; an empty `over` is any.
    pub async fn insert_media(&mut self, url: &str, over: &str) -> Result<(), Error> {
        let slots = self.slots().await?;
        if slots.iter().any(|slot| self.is_full(&slot.body) && slot.image(url) == Some(url)) {
            return Ok(());
        }
        let slot = match slots.iter().find(|slot| !self.is_full(&slot.body)) {
            Some(free) => free,
            None => {
                let may_go = |slot: &&Slot| over.is_empty() || slot.image(over).is_some();
                let Some(slot) = slots.iter().find(may_go) else {
                    let image = slots.iter().find_map(|slot| slot.image("")).map(harmless);
                    let image = image.unwrap_or_else(|| "an image".to_owned());
                    let sentence = format!("its virtual CD holds {image}; eject that first");
                    return Err(Error::Failed { sentence });
                };
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

    /// Ejects what is inserted from a URL that begins with `of`; an empty one is any. Gives how many images that were.
    pub async fn eject_media(&mut self, of: &str) -> Result<usize, Error> {
        let slots = self.slots().await?;
        let is_meant = |slot: &&Slot| self.is_full(&slot.body) && (of.is_empty() || slot.image(of).is_some());
        let full: Vec<&Slot> = slots.iter().filter(is_meant).collect();
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
