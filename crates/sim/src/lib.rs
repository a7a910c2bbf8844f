//! A zone in virtual time: the real deciding code, with everything around it played, and everything that can go wrong.
//!
//! In: a seed. Out: the same trace for the same seed, and the first thing that must not be, if there is one. Nothing ships
//! that depends on this.
//!
//! | module       | what it plays                                                             |
//! |--------------|---------------------------------------------------------------------------|
//! | `world`      | time: what happens next                                                   |
//! | `drawing`    | the team that draws the zone                                              |
//! | `controller`, `session`, `store` | the loop around the deciding code, as the server has it |
//! | `network`, `cabling` | sockets, cables, relays and what lies between                     |
//! | `body`, `life`, `agent` | a machine, what it boots, and the agent on it                  |
//! | `people`     | operators, and those who do what `why` asks for                           |
//! | `faults`     | what goes wrong                                                           |
//! | `check`      | what must hold all the same                                               |

mod agent;
mod body;
mod cabling;
mod check;
mod controller;
mod drawing;
mod faults;
mod life;
mod network;
mod people;
mod queue;
mod random;
mod session;
mod settings;
mod store;
mod trace;
mod world;

pub use check::Violation;
pub use settings::{Planted, Settings};
pub use world::{Report, Tally, run};
