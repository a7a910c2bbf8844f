//! The agent: what runs on every machine, proves where it stands, and says what it finds.
//!
//! In: public facts ([`Options`]) and what the controller says. Out: reports of hardware and neighbours, results of the
//! role's checks. It opens one connection, which the controller uses too. Without a controller it goes on with its last
//! orders, for ever. It decides nothing about the zone and knows nothing of other machines.
//!
//! | module       | what it does                                                             |
//! |--------------|---------------------------------------------------------------------------|
//! | `options`    | flags and kernel command line, read                                        |
//! | `attempt`    | connect, be refused, wait, connect again                                    |
//! | `backoff`    | how long to wait                                                           |
//! | `trust`      | which controller is believed                                               |
//! | `identity`   | key, certificate and orders, on disk                                        |
//! | `connection` | one TLS connection, as frames                                              |
//! | `enrolment`  | from nothing to a certificate                                              |
//! | `tpm`        | the machine's TPM, when a controller asks for it                            |
//! | `virtual_cd` | half of a token, by way of the machine's BMC                                |
//! | `session`    | from a certificate to the end of the connection                             |
//! | `observer`   | looks at the machine: on orders, on a timer, when a neighbour changes        |
//! | `hardware`   | what is in the box                                                         |
//! | `lldp`       | who is at the other end of its cables                                       |
//! | `probe`      | which DHCP servers answer in its networks                                   |
//! | `dhcp`       | DHCP clients of both families: packets and times in and out                  |
//! | `ramdisk`    | from a kernel with nothing to an agent with a network                        |
//! | `install`    | carries out orders: disks become a system; trial, confirmation, restart       |
//! | `hold`       | somebody on the machine lets nobody restart it                              |
//! | `burn_in`    | CPUs, memory and disks under load, read only                                |
//! | `checks`     | the role's checks: read, run                                                |
//! | `fuzzing`    | what always holds of what the installer reads; no part of the product          |

mod attempt;
mod backoff;
mod burn_in;
pub mod checks;
mod connection;
pub mod dhcp;
mod enrolment;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hardware;
pub mod hold;
mod identity;
mod install;
pub mod lldp;
mod observer;
pub mod options;
mod probe;
pub mod ramdisk;
mod session;
mod tpm;
mod trust;
mod virtual_cd;

pub use attempt::{RunError, run};
pub use options::{Controller, Notice, Options, Pin};
pub use virtual_cd::DRIVES;
