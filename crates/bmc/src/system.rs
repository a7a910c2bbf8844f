//! The machine that a BMC is of, and the manager that it is itself.

use crate::address::linked;
use crate::error::Error;
use crate::session::Bmc;
use serde_json::Value;

/// What was found once; states in it are of that moment.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) manager_body: Value,
}

impl Bmc {
    /// The machine: found at the first call.
    pub(crate) async fn system(&mut self) -> Result<System, Error> {
        if let Some(system) = &self.system {
            return Ok(system.clone());
        }
        let (path_of_system, body) = self.only_system().await?;
        let listed = linked(&body["Links"]["ManagedBy"][0]);
        let manager_path = match listed {
            Some(listed) => Some(listed),
            None => match linked(&self.root["Managers"]) {
                Some(managers) => self.members(&managers).await?.into_iter().next(),
                None => None,
            },
        };
        let manager_body = match &manager_path {
            // A manager that cannot be read differs in nothing that is known.
            Some(manager) => self.get(manager).await.map(|answer| answer.body).unwrap_or_default(),
            None => Value::Null,
        };
        let system = System { path: path_of_system, body, manager_body };
        self.system = Some(system.clone());
        Ok(system)
    }

    /// The machine as it is now.
    pub(crate) async fn system_now(&mut self) -> Result<Value, Error> {
        let path = self.system().await?.path;
        Ok(self.get(&path).await?.body)
    }

    /// The one system, or else the one that a quirk names, or else the only one that can be reset.
    async fn only_system(&mut self) -> Result<(String, Value), Error> {
        let systems = linked(&self.root["Systems"]);
        let systems = systems.ok_or_else(|| Error::missing("systems"))?;
        let mut found = Vec::new();
        let members = self.members(&systems).await?;
        let is_only = members.len() == 1;
        if let Some(id) = self.differences().system
            && let Some(named) = members.iter().find(|path| path.rsplit('/').next() == Some(id.as_str()))
        {
            return Ok((named.clone(), self.get(named).await?.body));
        }
        for member in members.into_iter().take(crate::limits::PARTS_MAX) {
            let body = self.get(&member).await?.body;
            if is_only || body["Actions"].get("#ComputerSystem.Reset").is_some() {
                found.push((member, body));
            }
        }
        match found.len() {
            0 => Err(Error::missing("system that can be powered")),
            1 => Ok(found.remove(0)),
            several => Err(Error::missing(format!(
                "one system but {several}; a BMC of several machines is not for one machine of a design"
            ))),
        }
    }
}
