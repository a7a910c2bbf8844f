//! What a machine is, as its BMC knows it.

use crate::address::linked;
use crate::error::Error;
use crate::limits::PARTS_MAX;
use crate::message::harmless;
use crate::power::{PowerState, state};
use crate::session::Bmc;
use serde_json::Value;

/// What a machine is. Texts are as the BMC gives them, cut and without control characters; empty if it gives none.
#[derive(Clone, PartialEq, Debug)]
pub struct Inventory {
    /// Who made it.
    pub vendor: String,
    /// Which model.
    pub model: String,
    /// System serial number.
    pub serial: String,
    /// SMBIOS UUID, in lower case.
    pub uuid: String,
    /// Version of BIOS or UEFI.
    pub bios: String,
    /// Version of the BMC's own firmware.
    pub firmware: String,
    /// Whether it is on.
    pub power: PowerState,
    /// `OK`, `Warning` or `Critical`.
    pub health: String,
    /// Processor packages.
    pub processors: Option<u64>,
    /// Their model.
    pub processor_model: String,
    /// Memory in GiB.
    pub memory_gib: Option<f64>,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Disks.
    pub drives: Vec<Drive>,
    /// What could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nic {
    /// The BMC's name of it.
    pub id: String,
    /// Hardware address, in lower case.
    pub mac: String,
    /// Speed in Mbit/s.
    pub mbps: Option<u64>,
}

/// A disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drive {
    /// The BMC's name of it.
    pub name: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Size in octets.
    pub bytes: Option<u64>,
    /// `SSD` or `HDD`.
    pub media: String,
}

impl Bmc {
    /// What the machine is. A part that cannot be read is named in [`Inventory::unread`]; only the system itself must be.
    pub async fn inventory(&mut self) -> Result<Inventory, Error> {
        self.tell("the inventory".to_owned(), None);
        let body = self.system_now().await?;
        let manager = self.system().await?.manager_body;
        let mut unread = Vec::new();
        let mut part = |name: &str, error: &Error| unread.push(format!("{name}: {error}"));
        let nics = self.nics(&body).await.unwrap_or_else(|error| {
            part("interfaces", &error);
            Vec::new()
        });
        let drives = self.drives(&body).await.unwrap_or_else(|error| {
            part("disks", &error);
            Vec::new()
        });
        let processors = &body["ProcessorSummary"];
        Ok(Inventory {
            vendor: text(&body, "Manufacturer"),
            model: text(&body, "Model"),
            serial: text(&body, "SerialNumber"),
            uuid: text(&body, "UUID").to_lowercase(),
            bios: text(&body, "BiosVersion"),
            firmware: text(&manager, "FirmwareVersion"),
            power: state(&body),
            health: text(&body["Status"], "Health"),
            processors: processors["Count"].as_u64(),
            processor_model: text(processors, "Model"),
            memory_gib: body["MemorySummary"]["TotalSystemMemoryGiB"].as_f64(),
            nics,
            drives,
            unread,
        })
    }

    async fn nics(&mut self, system: &Value) -> Result<Vec<Nic>, Error> {
        let mut nics = Vec::new();
        for body in self.parts(system, "EthernetInterfaces").await? {
            let mac = [&body["PermanentMACAddress"], &body["MACAddress"]];
            let mac = mac.into_iter().filter_map(Value::as_str).find(|mac| !mac.is_empty());
            let mac = mac.map(|mac| harmless(mac).to_lowercase()).unwrap_or_default();
            nics.push(Nic {
                id: text(&body, "Id"),
                mac,
                mbps: body["SpeedMbps"].as_u64().filter(|mbps| *mbps > 0),
            });
        }
        Ok(nics)
    }

    /// Of every controller; older BMCs know disks as simple storage only.
    async fn drives(&mut self, system: &Value) -> Result<Vec<Drive>, Error> {
        let mut drives = Vec::new();
        for controller in self.parts(system, "Storage").await? {
            let listed = controller["Drives"].as_array().into_iter().flatten();
            for drive in listed.filter_map(linked) {
                if drives.len() == PARTS_MAX {
                    return Ok(drives);
                }
                let body = self.get(&drive).await?.body;
                drives.push(Drive {
                    name: text(&body, "Name"),
                    model: text(&body, "Model"),
                    serial: text(&body, "SerialNumber"),
                    bytes: body["CapacityBytes"].as_u64(),
                    media: text(&body, "MediaType"),
                });
            }
        }
        if !drives.is_empty() {
            return Ok(drives);
        }
        for controller in self.parts(system, "SimpleStorage").await? {
            let devices = controller["Devices"].as_array().into_iter().flatten();
            drives.extend(devices.take(PARTS_MAX).map(|device| Drive {
                name: text(device, "Name"),
                model: text(device, "Model"),
                serial: String::new(),
                bytes: device["CapacityBytes"].as_u64(),
                media: String::new(),
            }));
        }
        drives.truncate(PARTS_MAX);
        Ok(drives)
    }

    /// The members of one of the system's collections; none if it has no such collection.
    async fn parts(&mut self, system: &Value, collection: &str) -> Result<Vec<Value>, Error> {
        let Some(collection) = linked(&system[collection]) else {
            return Ok(Vec::new());
        };
        let members = match self.members(&collection).await {
            Ok(members) => members,
            // It names what it does not have.
            Err(error) if matches!(error.status(), Some(404 | 501)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut parts = Vec::new();
        for member in members.into_iter().take(PARTS_MAX) {
            parts.push(self.get(&member).await?.body);
        }
        Ok(parts)
    }
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().map(harmless).unwrap_or_default()
}
