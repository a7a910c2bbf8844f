//! The nouns of Zonewright, and nothing else.
//!
//! A **Design** compiles to a **Plan**. The Plan and the **Facts** give a **View**. Every packet is answered
//! from the View. This crate holds those four shapes and the small values they are made of; the crates around
//! it turn one into the next. It never does I/O, reads a clock, spawns, logs or waits: everything here is data.
//!
//! | module      | noun                                                                     |
//! |-------------|--------------------------------------------------------------------------|
//! | `ids`       | indices into the tables of a Design or a Plan, and generations           |
//! | `location`  | where a thing stands (`ams1/p07/r2/u14`), the primary key everywhere      |
//! | `mac`       | a hardware address                                                        |
//! | `time`      | milliseconds since the epoch, always passed in                            |
//! | `design`    | the drawing, expanded: every device and cable, no addresses yet           |
//! | `plan`      | the drawing, decided: every name, prefix, address, binding and boot       |
//! | `roster`    | who is who in a plan: by location, by name, by address                     |
//! | `quick`     | the hash of a plan's tables                                               |
//! | `facts`     | what was observed of each machine                                         |
//! | `change`    | a change under way: waves, what became of each machine, leases             |
//! | `burn_in`   | how a machine is tried out under load                                      |
//! | `install`   | how a system is written to disks                                          |
//! | `event`     | what happened, as it is stored and as it drives the machines' life         |
//! | `octets`    | octets as text                                                             |
//! | `size`      | octets in words                                                            |
//! | `view`      | plan and facts, prepared so that a packet is answered by look-ups          |
//! | `refusal`   | why a packet was not answered                                             |
//! | `finding`   | what is wrong with a design, in words, at a place in a file               |

pub mod burn_in;
pub mod change;
pub mod design;
pub mod event;
pub mod facts;
pub mod finding;
pub mod ids;
pub mod install;
pub mod location;
pub mod mac;
pub mod octets;
pub mod plan;
pub mod quick;
pub mod refusal;
pub mod roster;
pub mod size;
pub mod time;
pub mod view;

pub use change::Change;
pub use design::Design;
pub use event::Event;
pub use facts::Facts;
pub use finding::{Code, Finding, Severity, Source};
pub use ids::{ChangeId, DeviceId, Generation, InterfaceId, PortIndex};
pub use location::Location;
pub use mac::Mac;
pub use plan::Plan;
pub use refusal::{Reason, Refusal};
pub use roster::Roster;
pub use time::Time;
pub use view::View;
