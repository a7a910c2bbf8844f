//! The life of things: what an event does to them, and why they wait.
//!
//! Everything here is a pure function of a plan, the facts and one event. Time is the event's. There is no I/O, no
//! clock, no log and no await: the server stores what changed and does the actions, in that order.
//!
//! | module     | question                                                                     |
//! |------------|------------------------------------------------------------------------------|
//! | `zone`     | an event came: which facts change, must the view, what is to be done?           |
//! | `machine`  | the state machine of one machine                                              |
//! | `validate` | is what was found in the box, and at the end of its cables, what was drawn?     |
//! | `cabling`  | who is on whose port, told from hardware addresses in DHCP alone               |
//! | `installing` | what is an agent to do about its machine's disks?                           |
//! | `starting` | how does an armed machine come to its installer, and when does its BMC help?  |
//! | `budget`   | may one machine more be taken out of service, and if not, because of whom?     |
//! | `change`   | a change in waves: who is next, is it enough, is it too much?                |
//! | `burn_in`  | which machine is to be tried out under load, and what follows?               |
//! | `probe`    | which DHCP servers that machines hear are not the zone's?                      |
//! | `enrolment` | who may have a token, a certificate, a session                                |
//! | `attestation` | is its TPM this machine's, and what it was?                               |
//! | `select`   | which machines does a person mean?                                            |
//! | `wait`     | what does a machine wait for, since when, until when?                          |
//! | `attention` | which machines and changes should somebody look at, and why?                |
//! | `why`      | all of that in sentences                                                      |

pub mod attention;
pub mod attestation;
pub mod budget;
pub mod burn_in;
pub mod cabling;
pub mod change;
pub mod enrolment;
pub mod installing;
pub mod machine;
pub mod probe;
pub mod select;
pub mod starting;
pub mod validate;
pub mod wait;
pub mod why;
pub mod zone;

pub use attention::Attention;
pub use select::select;
pub use wait::{Wait, wait};
pub use why::why;
pub use zone::{Applied, Zone};
