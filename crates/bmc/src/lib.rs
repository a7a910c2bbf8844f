//! A client of Redfish (DMTF DSP0266), for BMCs as they are: slow, busy, with certificates of their own making.
//!
//! In: an address, credentials, and whom to believe. Out: what a machine is, and power, boot source, media, firmware and
//! accounts as they were asked for. It knows nothing of zones. Everything that a BMC says is bounded before it is kept, and
//! made harmless before it is shown; credentials go to the address that they are for and nowhere else, whatever a BMC
//! answers. Every operation ends within a named limit and says what it waits for.
//!
//! | module        | what it does                                                              |
//! |---------------|----------------------------------------------------------------------------|
//! | `address`     | where a BMC is, and paths on it                                            |
//! | `credentials` | a user and a password that nobody sees                                     |
//! | `trust`       | TLS to a certificate that is known by its SHA-256                          |
//! | `limits`      | how long and how much                                                      |
//! | `http`        | one request at a time over one connection                                  |
//! | `session`     | logging in and out; repeating what may be repeated; ETags                  |
//! | `message`     | what a BMC says of an error, as a sentence                                 |
//! | `error`       | what can go wrong                                                          |
//! | `quirks`      | what differs from vendor to vendor: `quirks.json`                          |
//! | `system`      | the machine that a BMC is of: found once                                   |
//! | `task`        | what goes on after a request was accepted                                  |
//! | `fuzzing`     | what always holds of a BMC's words; no part of the product                 |
//! | `power`, `boot`, `media`, `inventory`, `update`, `account` | the operations                |

mod account;
mod address;
mod boot;
mod credentials;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod inventory;
mod limits;
mod media;
mod message;
mod power;
mod quirks;
mod session;
mod system;
mod task;
mod trust;
mod update;

pub use account::{Adoption, adopt};
pub use address::Address;
pub use boot::{BootMode, BootOverride, BootSource, Lasts};
pub use credentials::{Credentials, Password};
pub use error::Error;
pub use inventory::{Drive, Inventory, Nic};
pub use limits::Limits;
pub use power::{Power, PowerState};
pub use quirks::{Differences, QUIRKS, Quirk};
pub use session::{Bmc, Progress, Tell};
pub use trust::{Fingerprint, Trust};
