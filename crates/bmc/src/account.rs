//! Accounts: one of our own, and another password for the one that came with the box.

use crate::address::{Address, linked};
use crate::credentials::{Credentials, Password};
use crate::error::Error;
use crate::http::Ask;
use crate::limits::Limits;
use crate::session::{Bmc, Tell};
use crate::trust::{Fingerprint, Trust};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where accounts are, if the root does not say.
const ACCOUNTS: &str = "/redfish/v1/AccountService/Accounts";

/// How a BMC becomes ours. Whoever adopts keeps it before it begins: so it can be done again after any interruption, and no
/// password is lost that a BMC already has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Adoption {
    /// The account that is made.
    pub ours: Credentials,
    /// What becomes of the factory account's password.
    pub factory_password: Password,
}

/// Makes our account with the factory's, and gives the factory's another password. What of that is done already is left
/// as it is. `known` is the certificate of an adoption before: passwords that were set then are tried at that one only, so that
/// whoever stands in its place learns none. Gives the certificate that the BMC showed; `None` without TLS.
///
/// # Errors
/// [`Error`]; it may be done again.
pub async fn adopt(
    address: Address,
    factory: &Credentials,
    adoption: &Adoption,
    (trust, known): (Trust, Option<Fingerprint>),
    limits: Limits,
    tell: &Tell,
) -> Result<Option<Fingerprint>, Error> {
    let log_in = |credentials: &Credentials, trust| {
        Bmc::connect(address, credentials.clone(), trust, limits, tell.clone())
    };
    let same = |bmc: &Bmc| bmc.certificate().map_or(trust, Trust::Pinned);
    let changed = Credentials { user: factory.user.clone(), password: adoption.factory_password.clone() };
    // First as it comes from the factory, since that is what it nearly always is: each wrong password is one towards a lock.
    let begun = Bmc::begin(address, factory.clone(), trust, limits, tell.clone()).await;
    let (mut bmc, is_changed) = match begun {
        Ok((bmc, None)) => (bmc, false),
        Ok((mut bmc, Some(Error::PasswordChangeRequired { account }))) => {
            let set = bmc.set_password(&factory.user, account.as_deref(), &adoption.factory_password).await;
            let same = same(&bmc);
            bmc.close().await;
            set?;
            (log_in(&changed, same).await?, true)
        }
        Ok((bmc, Some(error))) => {
            bmc.close().await;
            return Err(error);
        }
        // An adoption that was interrupted: at its end, or after the demanded password was set and before an account was made.
        Err(Error::Unauthorized) => {
            let trust = known.map_or(trust, Trust::Pinned);
            match log_in(&adoption.ours, trust).await {
                Err(Error::Unauthorized) => (log_in(&changed, trust).await?, true),
                ours => (ours?, false),
            }
        }
        Err(error) => return Err(error),
    };
    let same = same(&bmc);
    let made = bmc.set_account(&adoption.ours).await;
    bmc.close().await;
    made?;
    // It counts when it works, and the last step is made with it: a factory account never locks itself out.
    let mut bmc = log_in(&adoption.ours, same).await?;
    let changed = match is_changed {
        true => Ok(()),
        false => bmc.set_password(&factory.user, None, &adoption.factory_password).await,
    };
    let certificate = bmc.certificate();
    bmc.close().await;
    changed.map(|()| certificate)
}

impl Bmc {
    /// Makes an account that may do everything, or gives the one of that name this password.
    pub async fn set_account(&mut self, account: &Credentials) -> Result<(), Error> {
        let accounts = self.accounts().await?;
        let password = account.password.shown();
        if let Some((path, _)) = accounts.iter().find(|(_, body)| body["UserName"] == account.user.as_str()) {
            let change = json!({ "Password": password, "RoleId": "Administrator", "Enabled": true });
            return self.patch(path, &change).await.map(|_| ());
        }
        let collection = self.collection().await?;
        let full = json!({ "UserName": account.user, "Password": password, "RoleId": "Administrator", "Enabled": true });
        self.tell(format!("the account {} to be made", account.user), None);
        match self.ask(&Ask::post(&collection, &full)).await {
            Ok(_) => Ok(()),
            // Accounts that are slots which are there already (DMTF/Redfishtool#7; iDRAC to this day): the first free one
            // becomes ours.
            Err(error) if matches!(error.status(), Some(400 | 404 | 405 | 501)) => {
                let first = self.differences().account_slots_from.unwrap_or(2);
                let is_free = |body: &Value| {
                    let number = body["Id"].as_str().and_then(|id| id.parse::<u32>().ok());
                    body["UserName"].as_str().unwrap_or_default().is_empty()
                        && number.is_some_and(|number| number >= first)
                };
                let slot = accounts.iter().find(|(_, body)| is_free(body)).map(|(path, _)| path.clone());
                self.patch(&slot.ok_or(error)?, &full).await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    /// Gives an account another password. `at` is its path where the BMC named it, as it does while it demands another.
    pub async fn set_password(
        &mut self,
        user: &str,
        at: Option<&str>,
        password: &Password,
    ) -> Result<(), Error> {
        self.tell(format!("the account {user} to get another password"), None);
        let at = match at {
            Some(at) => at.to_owned(),
            None => {
                let accounts = self.accounts().await?;
                let found = accounts.into_iter().find(|(_, body)| body["UserName"] == user);
                found.ok_or_else(|| Error::missing(format!("account {user}")))?.0
            }
        };
        self.patch(&at, &json!({ "Password": password.shown() })).await.map(|_| ())
    }

    async fn collection(&mut self) -> Result<String, Error> {
        let root = self.root.clone();
        let service = match self.follow(&root, "AccountService").await {
            Ok(service) => service,
            Err(Error::Missing { .. }) => return Err(Error::missing("account service")),
            Err(error) => return Err(error),
        };
        Ok(linked(&service["Accounts"]).unwrap_or_else(|| ACCOUNTS.to_owned()))
    }

    async fn accounts(&mut self) -> Result<Vec<(String, Value)>, Error> {
        let collection = self.collection().await?;
        let mut accounts = Vec::new();
        for path in self.members(&collection).await?.into_iter().take(crate::limits::PARTS_MAX) {
            let body = self.get(&path).await?.body;
            accounts.push((path, body));
        }
        Ok(accounts)
    }
}
