//! What runs on a machine before its operating system; the DHCP client of every stage is the agent's. Pure: octets and time in,
//! octets and results out; [`crate::machine`] owns the sockets and the clock.
//!
//! | module    | what it is                                                                        |
//! |-----------|-----------------------------------------------------------------------------------|
//! | `persona` | what BIOS PXE, UEFI PXE, UEFI HTTP, iPXE, a system and a BMC say of themselves      |
//! | `script`  | the part of iPXE's script language that boot scripts use                            |

#[cfg(test)]
mod clients;
mod persona;
mod script;

pub(crate) use agent::dhcp::{Client, Destination, Lease};
pub(crate) use persona::persona;
pub(crate) use script::{Fetching, Platform, Script, Step};
