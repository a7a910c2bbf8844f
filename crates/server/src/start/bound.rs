//! Where packets come to: every socket and listener of a controller or an edge, opened before anything is served.

use super::{listener, thread};
use crate::answering::Answering;
use crate::options::{BindPorts, Options, StartError};
use crate::sockets::{self, Purpose};
use crate::udp::{self, Stop};
use crate::{boot_http, dhcp, dhcp6, dns, steering, tftp};
use model::Plan;
use socket2::Socket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many free UDP ports are tried until one is free for TCP too, where any port will do.
const FREE_PORT_TRIES: u32 = 32;
/// Threads for each of DHCP and DNS at most: well before that many, the network is the limit.
const WORKERS_MAX: usize = 8;

/// Where packets are to come from.
pub(crate) struct Places {
    /// This one only; `None`: every one.
    pub(crate) address: Option<IpAddr>,
    pub(crate) interface: Option<String>,
    pub(crate) ports: BindPorts,
}

/// Everything that packets come to.
pub(crate) struct Bound {
    dhcp: Vec<dhcp::Worker>,
    /// Or why there is none.
    dhcp6: Result<Socket, String>,
    tftp: Vec<Socket>,
    dns: Vec<Socket>,
    dns_tcp: Vec<std::net::TcpListener>,
    boot: Vec<std::net::TcpListener>,
    /// Or why there is none.
    pub(crate) boot_tls: Result<Vec<std::net::TcpListener>, String>,
    pub(crate) ports: BindPorts,
}

impl Bound {
    /// Opens all of it.
    pub(crate) fn open(places: &Places, plan: &Plan) -> Result<Self, StartError> {
        let purpose = |service, transport| Purpose { service, transport };
        let ports = places.ports;
        // Always on every address: requests of clients without one are broadcast.
        let on = match places.address {
            Some(address) if address.is_loopback() && address.is_ipv4() => address,
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let interface = places.interface.as_deref();
        let workers = workers();
        let members = workers * steering::LANES;
        let dhcp = sockets::udp_groups(&[on], ports.dhcp, interface, purpose("DHCP", "udp"), members)?;
        if let Some(first) = dhcp.first() {
            // Without it the kernel deals by sender and port: nothing goes unanswered, only the order is worse.
            let _ = steering::steer(first, workers);
        }
        let proxy = sockets::udp(&[on], ports.proxy_dhcp, interface, purpose("PXE", "udp"))?;
        let dhcp6 = bind_dhcp6(places, plan)?;
        let addresses = sockets::addresses(places.address);
        let (dns, dns_tcp) = bind_dns(&addresses, ports.dns, workers)?;
        let tftp = sockets::udp(&addresses, ports.tftp, None, purpose("TFTP", "udp"))?;
        let boot = sockets::tcp(&addresses, ports.boot, purpose("HTTP boot", "tcp"))?;
        let boot_tls = bind_boot_tls(&addresses, ports.boot_tls, plan)?;
        for socket in dhcp.iter().chain(&dhcp6).chain(&proxy).chain(&tftp).chain(&dns) {
            udp::prepare(socket)
                .map_err(|error| StartError::Bind(format!("failed to prepare a UDP socket: {error}")))?;
        }
        let udp_port = |sockets: &[Socket]| sockets.first().map_or(0, sockets::port);
        let ports = BindPorts {
            dhcp: udp_port(&dhcp),
            dhcp6: dhcp6.as_ref().map_or(0, sockets::port),
            proxy_dhcp: udp_port(&proxy),
            dns: udp_port(&dns),
            tftp: udp_port(&tftp),
            boot: tcp_port(&boot),
            boot_tls: boot_tls.as_deref().map_or(0, tcp_port),
            ..ports
        };
        let mut workers = Vec::new();
        let mut sockets = dhcp.into_iter();
        loop {
            let sockets: Vec<Socket> = sockets.by_ref().take(steering::LANES).collect();
            if sockets.is_empty() {
                break;
            }
            let hears_broadcasts = workers.is_empty();
            workers.push(dhcp::Worker { sockets, port: wire::dhcp4::SERVER_PORT, hears_broadcasts });
        }
        workers.push(dhcp::Worker {
            sockets: proxy,
            port: wire::dhcp4::BOOT_SERVER_PORT,
            hears_broadcasts: true,
        });
        Ok(Bound { dhcp: workers, dhcp6, tftp, dns, dns_tcp, boot, boot_tls, ports })
    }

    /// Answers what comes by UDP and by HTTP boot. HTTPS boot is for whoever has a certificate.
    pub(crate) fn serve(
        self,
        answering: &Arc<Answering>,
        tasks: &mut JoinSet<()>,
        stop: &Stop,
        stopping: &watch::Receiver<bool>,
        interface: Option<String>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let mut threads = datagram_threads(answering, self.dhcp, self.tftp, self.dns, stop)?;
        {
            let (answering, listeners, stop) = (Arc::clone(answering), self.boot, stop.clone());
            threads.push(thread("boot", move || boot_http::run(&answering, listeners, &stop))?);
        }
        match self.dhcp6 {
            Ok(socket) => {
                if let Ok(socket) = socket.try_clone() {
                    tasks.spawn(dhcp6::join(socket, interface, stopping.clone()));
                }
                let (answering, stop) = (Arc::clone(answering), stop.clone());
                threads.push(thread("dhcp6", move || dhcp6::run(&answering, &socket, &stop))?);
            }
            Err(why) => {
                tasks.spawn(dhcp6::say_why_not(Arc::clone(answering), why, stopping.clone()));
            }
        }
        for socket in self.dns_tcp {
            tasks.spawn(dns::tcp::run(Arc::clone(answering), listener(socket)?, stopping.clone()));
        }
        Ok(threads)
    }
}

/// What is bound beside, by a controller.
pub(super) struct BoundBeside {
    pub(super) agents: Vec<std::net::TcpListener>,
    /// Or why there is none.
    pub(super) fleetlock: Result<Vec<std::net::TcpListener>, String>,
}

pub(super) fn bind(options: &Options, plan: &Plan) -> Result<(Bound, BoundBeside), StartError> {
    let Options { address, interface, ports, .. } = options.clone();
    let mut bound = Bound::open(&Places { address, interface, ports }, plan)?;
    let addresses = sockets::addresses(options.address);
    let agents = Purpose { service: "the agents' listener", transport: "tcp" };
    let agents = sockets::tcp(&addresses, ports.agents, agents)?;
    // Few systems ask: whoever else has the port may keep it.
    let fleetlock =
        sockets::tcp(&addresses, ports.fleetlock, Purpose { service: "FleetLock", transport: "tcp" });
    let fleetlock = fleetlock.map_err(|error| error.to_string());
    bound.ports.agents = tcp_port(&agents);
    bound.ports.fleetlock = fleetlock.as_deref().map_or(0, tcp_port);
    Ok((bound, BoundBeside { agents, fleetlock }))
}

fn tcp_port(listeners: &[std::net::TcpListener]) -> u16 {
    listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(0, |address| address.port())
}

/// Where no role boots by HTTPS, whoever else has the port may keep it.
fn bind_boot_tls(
    addresses: &[IpAddr],
    port: u16,
    plan: &Plan,
) -> Result<Result<Vec<std::net::TcpListener>, String>, StartError> {
    let bound = sockets::tcp(addresses, port, Purpose { service: "HTTPS boot", transport: "tcp" });
    match bound {
        Ok(listeners) => Ok(Ok(listeners)),
        Err(error) if plan.design.roles.iter().any(|role| role.https) => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Always on every address: clients and relays speak to groups.
fn bind_dhcp6(places: &Places, plan: &Plan) -> Result<Result<Socket, String>, StartError> {
    let address = match places.address {
        Some(address) if address.is_loopback() => Ipv6Addr::LOCALHOST,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    let interface = places.interface.as_deref();
    let purpose = Purpose { service: "DHCPv6", transport: "udp" };
    let bound = sockets::udp6(address, places.ports.dhcp6, interface, purpose);
    // A zone without IPv6 has nothing to say there, and whoever else has the port may keep it.
    let is_needed = plan.design.zone.supernet6.is_some();
    match bound {
        Ok(Some(socket)) => {
            if is_needed {
                dhcp6::join_now(&socket, interface);
            }
            Ok(Ok(socket))
        }
        Ok(None) => Ok(Err("DHCPv6 cannot be served: this host has no IPv6".to_owned())),
        Err(error) if is_needed => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Threads for each of DHCP and DNS: as many as there are processors for this process.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS_MAX)
}

/// UDP and TCP on one port: clients go on over TCP on the same number.
fn bind_dns(
    addresses: &[IpAddr],
    port: u16,
    workers: usize,
) -> Result<(Vec<Socket>, Vec<std::net::TcpListener>), StartError> {
    let mut tries = if port == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let purpose = Purpose { service: "DNS", transport: "udp" };
        let udp = sockets::udp_groups(addresses, port, None, purpose, workers)?;
        let both = udp.first().map_or(port, sockets::port);
        match sockets::tcp(addresses, both, Purpose { service: "DNS", transport: "tcp" }) {
            Ok(tcp) => return Ok((udp, tcp)),
            // A port that is free for UDP need not be for TCP.
            Err(_) if tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

fn datagram_threads(
    answering: &Arc<Answering>,
    dhcp: Vec<dhcp::Worker>,
    tftp: Vec<Socket>,
    dns: Vec<Socket>,
    stop: &Stop,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut threads = Vec::new();
    for worker in dhcp {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("dhcp", move || dhcp::run(&answering, &worker, &stop))?);
    }
    {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("tftp", move || tftp::run(&answering, tftp, &stop))?);
    }
    for socket in dns {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("dns", move || dns::run_udp(&answering, &socket, &stop))?);
    }
    Ok(threads)
}
