//! People: who has an account, what accounts may do, and what was done.

use model::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look at everything but the audit log and the accounts.
    View,
    /// Ask things of machines; pause, resume and abort changes.
    Operate,
    /// Everything.
    Administer,
}

/// As it is spoken.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Administer => "administer",
        })
    }
}

/// An account of this zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// What its owner signs in as, and what is said of them in histories.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    #[schema(value_type = u64)]
    pub made: Time,
    /// Who made it.
    pub by: String,
    /// When its password was set.
    #[schema(value_type = u64)]
    pub password_set: Time,
}

/// The accounts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Accounts {
    /// By name.
    pub accounts: Vec<Account>,
}

/// What is to become of an account. One of them: `add`, `remove`, `password`, `role`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "account", deny_unknown_fields)]
pub enum AccountWish {
    /// A new one.
    Add {
        /// Letters, digits, `.`, `_`, `-` and `@`.
        name: String,
        /// What it may do.
        role: Role,
        /// Its password.
        password: String,
    },
    /// It is no more, and whoever is signed in with it is signed out.
    Remove {
        /// Which.
        name: String,
    },
    /// Another password; whoever is signed in with it is signed out.
    Password {
        /// Which.
        name: String,
        /// The new password.
        password: String,
    },
    /// Another role.
    Role {
        /// Which.
        name: String,
        /// What it may do from now on.
        role: Role,
    },
}

/// Without the password.
impl fmt::Debug for AccountWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { name, role, .. } => write!(f, "add {name} ({role})"),
            Self::Remove { name } => write!(f, "remove {name}"),
            Self::Password { name, .. } => write!(f, "password of {name}"),
            Self::Role { name, role } => write!(f, "role of {name} ({role})"),
        }
    }
}

/// Something that somebody did, or tried to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Audited {
    /// When.
    #[schema(value_type = u64)]
    pub at: Time,
    /// Who: an account, a user of this host, or `somebody`.
    pub by: String,
    /// From where: `unix socket`, or an address.
    pub from: String,
    /// What.
    pub did: String,
    /// `done`, or why it was not.
    pub outcome: String,
}

/// What people did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The newest last.
    pub entries: Vec<Audited>,
}
