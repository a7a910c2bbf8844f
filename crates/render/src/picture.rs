//! Plan → sheets that people hang on a wall, take into the aisle, or stick on a cable.
//!
//! | module       | sheets                                              | read by                                |
//! |--------------|-----------------------------------------------------|----------------------------------------|
//! | `elevations` | what stands in each rack, unit by unit               | who racks, who looks for a machine     |
//! | `cabling`    | tiers of the zone and of pods; a rack's cables       | who designs, who looks for a fault     |
//! | `addresses`  | the address plan, blocks within blocks               | network and firewall people            |
//! | `boot`       | a boot of the whole zone, by phase                   | who was on call                        |
//! | `labels`     | cable labels, on sheets of labels                    | who cables                             |
//! | `pulls`      | a rack's cables by where they lead, to be ticked off | who pulls them                         |
//!
//! Sheets are as large as paper, in millimetres, and the same plan gives the same octets. Nothing is measured here that only a
//! font knows: see `letters`. Every device and cable that a sheet shows in detail is a group with `data-device` or `data-cable`.
//! Decision 21 says who reads what, and why it looks as it does.

mod addresses;
mod boot;
mod cabling;
mod elevations;
mod index;
mod labels;
mod letters;
mod order;
mod page;
mod places;
mod pulls;
mod svg;
#[cfg(test)]
mod tests;
mod tiers;

pub use addresses::addresses;
pub use boot::{Booted, Happened, boot};
pub use cabling::cabling;
pub use elevations::{Elevations, elevations};
pub use labels::{Labels, Stock, TooSmall, csv as labels_csv, labels};
pub use page::{Paper, Sheet, html};
pub use places::Places;
pub use pulls::{Pull, Pulls};
