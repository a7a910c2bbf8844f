//! Links, addresses and routes of one namespace, by netlink. The one place that uses `rtnetlink`.
//!
//! Interface numbers are chosen by the caller, so that nothing has to be looked up after it is made: one message
//! makes a cable with both ends named, placed, bridged and up.

use super::Namespace;
use crate::error::{Doing, Error};
use ipnet::IpNet;
use model::Mac;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A netlink socket in one namespace.
#[derive(Debug)]
pub(crate) struct Links {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

/// One end of a cable.
#[derive(Clone, Debug)]
pub(crate) struct Port<'a> {
    /// Its interface number, unique in its namespace and above 1.
    pub index: u32,
    /// Its name, at most 15 octets.
    pub name: &'a str,
    /// Its hardware address; `None` lets the kernel choose.
    pub mac: Option<Mac>,
    /// The number of the bridge it is a port of.
    pub bridge: Option<u32>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Links {
    /// Opens a socket in `namespace`. It must be called inside a runtime.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the socket not opened.
    pub(crate) fn open(namespace: &Namespace) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(|| {
            let _inside = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection().doing(|| "open a netlink socket")?;
            Ok(Self { handle, task: runtime.spawn(connection) })
        })
    }

    /// Makes a bridge, up, without spanning tree.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn add_bridge(&self, index: u32, name: &str, mac: Mac) -> Result<(), Error> {
        let message = LinkBridge::new(name).index(index).address(mac.0.to_vec()).build();
        self.handle.link().add(message).execute().await.doing(|| format!("create bridge {name}"))
    }

    /// Lays a cable from `near`, in this namespace, to `far` in the other. Only the near end is up: veth refuses to
    /// bring up an end whose other end is not linked to it yet (ENOTCONN, drivers/net/veth.c), as the far one is not.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn add_cable(
        &self,
        near: &Port<'_>,
        other: &Namespace,
        far: &Port<'_>,
    ) -> Result<(), Error> {
        let mut peer = LinkUnspec::new_with_name(far.name).index(far.index).setns_by_fd(other.number());
        if let Some(mac) = far.mac {
            peer = peer.address(mac.0.to_vec());
        }
        let mut message = LinkMessageBuilder::<LinkVeth>::new(near.name, far.name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .index(near.index)
            .up();
        if let Some(mac) = near.mac {
            message = message.address(mac.0.to_vec());
        }
        if let Some(bridge) = near.bridge {
            message = message.controller(bridge);
        }
        self.handle
            .link()
            .add(message.build())
            .execute()
            .await
            .doing(|| format!("lay the cable from {} to {}", near.name, far.name))
    }

    /// Makes an existing interface a port of a bridge.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn join_bridge(&self, index: u32, bridge: u32) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(index).controller(bridge).build();
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .doing(|| format!("put interface {index} on a bridge"))
    }

    /// Brings an interface up or down.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn set_up(&self, index: u32, up: bool) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(index);
        let message = if up { message.up() } else { message.down() }.build();
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .doing(|| format!("set interface {index} up or down"))
    }

    /// Takes an interface away, and with it the other end of its cable.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn remove(&self, index: u32) -> Result<(), Error> {
        self.handle.link().del(index).execute().await.doing(|| format!("remove interface {index}"))
    }

    /// Gives an interface another hardware address. It must be down, or able to change it while up, as veth is.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn set_mac(&self, index: u32, mac: Mac) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(index).address(mac.0.to_vec()).build();
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .doing(|| format!("set the address of interface {index}"))
    }

    /// Puts an address on an interface.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<(), Error> {
        let mut add = self.handle.address().add(index, address, prefix_length).replace();
        if address.is_ipv6() {
            // Otherwise it is in doubt for a moment, also where nobody is asked (accept_dad 0), and no socket can be bound to it.
            add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        let words = || format!("put {address}/{prefix_length} on interface {index}");
        add.execute().await.doing(words)
    }

    /// Takes an address off an interface.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn remove_address(
        &self,
        index: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<(), Error> {
        let message = match address {
            IpAddr::V4(v4) => {
                AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(v4, prefix_length).build()
            }
            IpAddr::V6(v6) => {
                AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(v6, prefix_length).build()
            }
        };
        self.handle
            .address()
            .del(message)
            .execute()
            .await
            .doing(|| format!("take {address}/{prefix_length} off interface {index}"))
    }

    /// Adds a route through a gateway of the same family.
    ///
    /// # Errors
    /// As netlink says.
    pub(crate) async fn add_route(&self, to: IpNet, gateway: IpAddr) -> Result<(), Error> {
        let words = || format!("route {to} via {gateway}");
        let message = match (to, gateway) {
            (IpNet::V4(to), IpAddr::V4(gateway)) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(to.network(), to.prefix_len())
                .gateway(gateway)
                .build(),
            (IpNet::V6(to), IpAddr::V6(gateway)) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(to.network(), to.prefix_len())
                .gateway(gateway)
                .build(),
            _ => return Err(Error::new(words())),
        };
        self.handle.route().add(message).replace().execute().await.doing(words)
    }
}
