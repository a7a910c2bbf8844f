//! (Design, parent Plan) → Plan, the difference of two Plans, and (Plan, Facts) → View. Pure: no I/O, no clock.
//!
//! | module     | subject                                                                            |
//! |------------|------------------------------------------------------------------------------------|
//! | `compile`  | the address plan, every interface, and every identity a relay will send            |
//! | `dns`      | the records of the zone, computed once for the DNS view, the document and the diff |
//! | `document` | the plan as people's programs read it: complete, stable, readable back             |
//! | `diff`     | what changes between two documents                                                 |
//! | `view`     | plan and facts, prepared so that a packet is answered by look-ups                  |

pub mod compile;
pub mod view;

pub use compile::compile;
pub use view::view;
