//! Firmware: fetched from a URL by the BMC itself (`UpdateService.SimpleUpdate`), followed to its end.

use crate::address::{action, transfer_protocol};
use crate::error::Error;
use crate::http::Ask;
use crate::message::harmless;
use crate::power::words;
use crate::session::Bmc;
use serde_json::json;

/// Its action.
const UPDATE: &str = "#UpdateService.SimpleUpdate";

impl Bmc {
    /// Has the BMC fetch and install the firmware at `url`. Which component it is for is known to the file.
    pub async fn update(&mut self, url: &str) -> Result<(), Error> {
        let system = self.system().await?;
        let root = self.root.clone();
        let service = self.follow(&root, "UpdateService").await?;
        let target = action(&service, UPDATE)
            .ok_or_else(|| Error::missing("firmware update from a URL (SimpleUpdate)"))?;
        let protocol = transfer_protocol(url);
        let known = words(&service["Actions"][UPDATE]["TransferProtocol@Redfish.AllowableValues"]);
        if !known.is_empty() && !known.contains(&protocol) {
            let known: Vec<String> = known.iter().take(8).map(|word| harmless(word)).collect();
            return Err(Error::missing(format!(
                "{protocol} for firmware; it fetches by {}",
                known.join(", ")
            )));
        }
        let mut body = json!({ "ImageURI": url });
        if !known.is_empty() {
            body["TransferProtocol"] = protocol.into();
        }
        if self.differences().update_names_system {
            body["Targets"] = json!([system.path]);
        }
        self.tell(format!("{url} to be accepted"), None);
        // Never with If-Match, which is for changes of a resource: an iDRAC refuses an action that has one
        // (ironcore-dev/metal-operator#1015).
        let answer = self.ask(&Ask::post(&target, &body)).await?;
        self.finish(answer, "the firmware to be installed", self.limits.update).await
    }
}
