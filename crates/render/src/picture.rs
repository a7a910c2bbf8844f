//! Plan → sheets that people hang on a wall, take into the aisle, or stick on a cable.
//!
//! | module       | sheets                                              | read by                                |
//! |--------------|-----------------------------------------------------|----------------------------------------|
//! | `elevations` | what stands in each rack, unit by unit               | who racks, who looks for a machine     |
//!
//! Sheets are as large as paper, in millimetres, and the same plan gives the same octets. Nothing is measured here that only a
//! font knows: see `letters`. Every device and cable that a sheet shows in detail is a group with `data-device` or `data-cable`.
//! Decision 21 says who reads what, and why it looks as it does.

#![expect(dead_code, reason = "the sheets of cabling and addresses, which follow, use it")]

mod elevations;
mod index;
mod letters;
mod page;
mod places;
mod svg;
#[cfg(test)]
mod tests;

pub use elevations::{Elevations, elevations};
pub use page::{Paper, Sheet, html};
pub use places::Places;
