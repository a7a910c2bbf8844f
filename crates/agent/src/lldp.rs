//! Who is at the other end of this machine's cables, as LLDP tells it (IEEE 802.1AB-2016).
//!
//! In: LLDP frames from each interface. Out: the newest neighbour of each. It never sends.

mod listen;
mod pdu;

pub use pdu::{BadPdu, Pdu, parse};

use model::facts::Neighbour;
use std::collections::BTreeMap;

pub(crate) use listen::listen;

/// Neighbours by the interface that heard them.
pub type Neighbours = BTreeMap<String, Neighbour>;
