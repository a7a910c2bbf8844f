//! (Design, parent Plan) → Plan, the difference of two Plans, and (Plan, Facts) → View. Pure: no I/O, no clock.
//!
//! | module     | subject                                                                            |
//! |------------|------------------------------------------------------------------------------------|
//! | `compile`  | the address plan, every interface, and every identity a relay will send            |
//! | `dns`      | the records of the zone as rows, spelt out from the view that answers queries     |
//! | `document` | the plan as people's programs read it: complete, stable, readable back             |
//! | `diff`     | what changes between two documents                                                 |
//! | `view`     | plan and facts, prepared so that a packet is answered by look-ups                  |

pub mod compile;
pub mod diff;
pub mod dns;
pub mod document;
pub mod view;

#[cfg(test)]
mod testing;

pub use compile::compile;
pub use diff::{Diff, Gone, diff, effects, gone};
pub use document::{Document, document};
pub use view::view;
