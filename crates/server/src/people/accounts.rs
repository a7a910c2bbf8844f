//! Accounts: names, roles, and passwords as Argon2id makes them unreadable (RFC 9106). Kept by the store as one secret.

use crate::clock;
use crate::controller::Controller;
use crate::keeper::Message;
use api::people::{Account, AccountWish, Role};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use model::Time;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The name under which the store keeps them.
const SECRET: &str = "accounts";
/// Accounts of a zone; a team has ten.
const ACCOUNTS_MAX: usize = 256;
/// The longest name, in octets.
const NAME_MAX: usize = 64;
/// The shortest and the longest password, in characters.
const PASSWORD_MIN: usize = 12;
const PASSWORD_MAX: usize = 1024;
/// Another controller may have changed them: they are read again after this.
const FRESH: Duration = Duration::from_secs(5);

/// What is kept of an account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// In the PHC's string format, with its parameters and salt.
    password: String,
    made: Time,
    by: String,
    password_set: Time,
}

/// The accounts.
#[derive(Default)]
pub(crate) struct Accounts {
    known: Mutex<Option<(Instant, Arc<Vec<Kept>>)>>,
    /// Held by who changes them.
    changing: tokio::sync::Mutex<()>,
}

impl Accounts {
    /// All of them, by name.
    ///
    /// # Errors
    /// The store cannot be read, in words.
    pub(crate) fn all(&self, controller: &Controller) -> Result<Arc<Vec<Kept>>, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, accounts)) = &*known
            && read.elapsed() < FRESH
        {
            return Ok(Arc::clone(accounts));
        }
        let history = controller.history.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = history.secret(SECRET).map_err(|failure| failure.to_string())?;
        drop(history);
        let accounts: Vec<Kept> = match octets {
            Some(octets) => serde_json::from_slice(&octets)
                .map_err(|_| "the accounts in the store cannot be read".to_owned())?,
            None => Vec::new(),
        };
        let accounts = Arc::new(accounts);
        *known = Some((Instant::now(), Arc::clone(&accounts)));
        Ok(accounts)
    }

    /// Changes one. It is stored when this returns.
    ///
    /// # Errors
    /// Why it is not changed, a sentence.
    pub(crate) async fn change(
        &self,
        controller: &Arc<Controller>,
        wish: AccountWish,
        by: &str,
    ) -> Result<(), String> {
        let _alone = self.changing.lock().await;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut accounts = Vec::clone(&*self.all(controller)?);
        let by = by.to_owned();
        let changed =
            tokio::task::spawn_blocking(move || changed(&mut accounts, wish, by).map(|()| accounts));
        let accounts = changed.await.map_err(|_| "it failed; the log says how".to_owned())??;
        let bytes = serde_json::to_vec(&accounts).map_err(|error| error.to_string())?;
        let (asker, stored) = oneshot::channel();
        let message = Message::Secret { name: SECRET.to_owned(), bytes, asker };
        let stored = if controller.inbox.send(message) { stored.await.ok() } else { None };
        stored.unwrap_or_else(|| Err("the controller is too busy to store it; try again".to_owned()))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::new(accounts)));
        Ok(())
    }
}

impl Kept {
    pub(crate) fn shown(&self) -> Account {
        let Self { name, role, made, by, password_set, .. } = self.clone();
        Account { name, role, made, by, password_set }
    }
}

fn changed(accounts: &mut Vec<Kept>, wish: AccountWish, by: String) -> Result<(), String> {
    let now = clock::now();
    let find = |accounts: &[Kept], name: &str| {
        let found = accounts.iter().position(|account| account.name == name);
        found.ok_or_else(|| format!("there is no account {name}"))
    };
    match wish {
        AccountWish::Add { name, role, password } => {
            is_name(&name)?;
            if accounts.iter().any(|account| account.name == name) {
                return Err(format!("there is an account {name} already"));
            }
            if accounts.len() >= ACCOUNTS_MAX {
                return Err(format!("there are {ACCOUNTS_MAX} accounts, and no more can be made"));
            }
            let password = hashed(&password)?;
            accounts.push(Kept { name, role, password, made: now, by, password_set: now });
            accounts.sort_by(|a, b| a.name.cmp(&b.name));
        }
        AccountWish::Remove { name } => {
            let at = find(accounts, &name)?;
            accounts.remove(at);
        }
        AccountWish::Password { name, password } => {
            let at = find(accounts, &name)?;
            accounts[at].password = hashed(&password)?;
            accounts[at].password_set = now;
        }
        AccountWish::Role { name, role } => {
            let at = find(accounts, &name)?;
            accounts[at].role = role;
        }
    }
    Ok(())
}

/// It stands in histories and logs, and is typed.
fn is_name(name: &str) -> Result<(), String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-@".contains(&octet);
    match name.bytes().all(is_plain) && (1..=NAME_MAX).contains(&name.len()) {
        true => Ok(()),
        false => Err(format!("an account's name has 1 to {NAME_MAX} letters, digits and `.`, `_`, `-`, `@`")),
    }
}

fn hashed(password: &str) -> Result<String, String> {
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&password.chars().count()) {
        return Err(format!("a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters"));
    }
    let failed = |_| "the password could not be made unreadable".to_owned();
    let random = crate::agents::random::<16>().map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&random).map_err(failed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

/// Whether this is the password of this account. It takes as long if there is no such account.
pub(crate) fn is_right(accounts: &[Kept], name: &str, password: &str) -> bool {
    // Any hash of the same parameters; nobody has its password.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    if password.len() > PASSWORD_MAX * 4 {
        return false;
    }
    let kept = accounts.iter().find(|account| account.name == name);
    let hash = PasswordHash::new(kept.map_or(NOBODY, |account| &account.password));
    let is_it = hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    is_it && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";

    fn add(name: &str, password: &str) -> AccountWish {
        AccountWish::Add { name: name.to_owned(), role: Role::View, password: password.to_owned() }
    }

    #[test]
    fn a_password_is_kept_as_argon2id_and_found_right() {
        let mut accounts = Vec::new();
        changed(&mut accounts, add("ada", PASSWORD), "root".to_owned()).unwrap();
        let kept = serde_json::to_string(&accounts).unwrap();
        assert!(kept.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(!kept.contains("horse"), "{kept}");
        assert!(is_right(&accounts, "ada", PASSWORD));
        assert!(!is_right(&accounts, "ada", "correct horse battery stapler"));
        assert!(!is_right(&accounts, "bob", PASSWORD));
        assert!(!is_right(&accounts, "ada", ""));
    }

    #[test]
    fn accounts_change_by_name() {
        let mut accounts = Vec::new();
        let mut change = |wish| changed(&mut accounts, wish, "root".to_owned());
        change(add("ada", PASSWORD)).unwrap();
        assert_eq!(change(add("ada", PASSWORD)), Err("there is an account ada already".to_owned()));
        assert_eq!(change(add("bob", "short")), Err("a password has 12 to 1024 characters".to_owned()));
        assert!(change(add("b b", PASSWORD)).is_err());
        assert!(change(add("", PASSWORD)).is_err());
        change(AccountWish::Role { name: "ada".to_owned(), role: Role::Administer }).unwrap();
        change(AccountWish::Password { name: "ada".to_owned(), password: "another password".to_owned() })
            .unwrap();
        let gone = AccountWish::Remove { name: "bob".to_owned() };
        assert_eq!(change(gone), Err("there is no account bob".to_owned()));
        assert_eq!(accounts[0].role, Role::Administer);
        assert!(is_right(&accounts, "ada", "another password") && !is_right(&accounts, "ada", PASSWORD));
    }
}
