//! What runs on a machine before its operating system, and the DHCP client of every stage. Pure: octets and time in,
//! octets and results out; [`crate::machine`] owns the sockets and the clock.
//!
//! | module    | what it is                                                                        |
//! |-----------|-----------------------------------------------------------------------------------|
//! | `client`  | a DHCPv4 client as firmware and small systems have it, with its retry timing         |
//! | `persona` | what BIOS PXE, UEFI PXE, UEFI HTTP, iPXE, a system and a BMC say of themselves      |
//! | `script`  | the part of iPXE's script language that boot scripts use                            |

mod client;
mod persona;
mod script;

pub(crate) use client::{Client, Destination, Lease};
pub(crate) use persona::persona;
pub(crate) use script::{Fetching, Platform, Script, Step};
