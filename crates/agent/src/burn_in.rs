//! Burn-in: CPUs, memory and disks under load, with results that are known beforehand.
//!
//! In: an order of the controller. Out: how far it is, and how each part ended, in words. It writes to no disk, and to no
//! memory but what it took. Its threads have the lowest priority, which the kernel takes over for their reads, and end soon after
//! they are told to; the agent's own thread goes on beside them, so that heartbeats and the watchdog do not stop.
//!
//! | module   | what it does                                                             |
//! |----------|-----------------------------------------------------------------------------|
//! | `burner` | orders as they come from a controller, one at a time; progress, outcome     |
//! | `load`   | threads, and when they end                                               |
//! | `cpu`    | a calculation with a known result, on every CPU                             |
//! | `memory` | patterns, written and read again                                         |
//! | `disk`   | disks, read twice                                                        |
//! | `kernel` | what the kernel counted meanwhile: memory errors, machine checks, throttling |

mod burner;
mod cpu;
mod disk;
mod kernel;
mod load;
mod memory;

pub(crate) use burner::{Burner, Said};
