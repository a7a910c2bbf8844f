//! The kernel's side of a lab: network namespaces, links between them, and raw sockets in them.
//!
//! The only module that touches the kernel's network; what is to be built comes from [`crate::topology`]. A namespace
//! has no name and no mount: it lives as long as a file descriptor or a process of ours holds it, so that whatever
//! way the lab ends, the kernel takes it away.

mod frame;
mod links;
mod namespace;
mod packet;
mod tap;

pub(crate) use frame::{
    BROADCAST, Datagram, checksum, decode_udp, decode_udp6, encode_udp, encode_udp6, link_local,
};
pub(crate) use links::{Links, Port};
pub(crate) use namespace::{Namespace, has_ipv6, open_descriptors};
pub(crate) use packet::{Filter, PacketSocket, has_carrier};
pub(crate) use tap::{Tap, hand_down};
