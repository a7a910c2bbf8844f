//! A zone on this machine.
//!
//! In: a plan. Out: a network namespace for every switch, machine, BMC and controller, cables between them, relays
//! that tell the port, firmware that boots over the real protocols, the real controller and real agents. It decides
//! nothing of the zone: addresses, identities and states come from the plan and from the controller.
//!
//! | module       | what it is                                                                         |
//! |--------------|------------------------------------------------------------------------------------|
//! | `supervisor` | the process that holds a lab, and the walls around it                                |
//! | `zone`       | the lab inside: built, powered on, watched, changed on request                       |
//! | `control`    | what `zw lab …` and the lab say to each other                                        |
//! | `down`       | the end of a lab                                                                      |
//! | `capture`    | frames into a file                                                                   |
//! | `directory`  | where a lab keeps its files, and who holds it                                        |
//! | `topology`   | plan → namespaces, bridges, cables, addresses, routes; pure                          |
//! | `net`        | the kernel's side: namespaces, netlink, raw frames                                   |
//! | `relay`      | the DHCP relay of a switch                                                           |
//! | `router`     | what a switch says to who asks for an IPv6 router                                    |
//! | `lldp`       | who is at the other end of a cable                                                   |
//! | `machine`    | a machine from power-on to power-off: sockets and processes around `firmware`        |
//! | `firmware`   | BIOS PXE, UEFI PXE, UEFI HTTP, iPXE, and the DHCP client of every stage; pure         |
//! | `vm`         | a machine that is real: QEMU with OVMF or SeaBIOS, its disks and its TPM            |
//! | `console`    | the serial port of a real machine, at a terminal                                    |
//! | `fetch`      | files by TFTP and HTTP                                                               |
//! | `mirror`     | what the zone's installers may fetch of the world                                   |
//! | `hardware`   | what a machine is found to have; pure                                                |
//! | `identity`   | its MACs, UUID, serial; pure                                                         |
//! | `load`       | a design's directory → a plan                                                        |
//!
//! `supervisor::stand_guard`, `zone::run` and `control::execute` enter namespaces, and must be called while the process
//! has one thread.

pub mod capture;
pub mod console;
pub mod control;
pub mod directory;
pub mod down;
mod error;
mod fetch;
mod firmware;
mod hardware;
mod identity;
mod lldp;
pub mod load;
mod machine;
pub mod mirror;
mod net;
mod relay;
mod router;
pub mod supervisor;
mod topology;
pub mod vm;
pub mod zone;

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

pub use error::Error;
