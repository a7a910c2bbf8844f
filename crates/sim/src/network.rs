//! DHCP between a machine's port and the controllers: real packets, over relays that lose, double, delay and reorder them.

use crate::body::{Body, Client, Life, PORTS, Phase};
use crate::cabling::JackId;
use crate::settings::Planted;
use crate::world::{Happening, Timer, World};
use answer::dhcp::{self, Answer, Arrival, Destination};
use model::facts::Stage;
use std::net::{Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{CLIENT_PORT, Message, MessageType, Request, SERVER_PORT, code, insert_relay_agent};

/// The longest way between an agent and a controller.
pub(crate) const CONTROLLER: u64 = 8;

/// What firmware waits for answers: 4, 8, 16 and 32 seconds, as PXE says, then it gives up. Systems go on for ever.
const TRIES: u32 = 4;

const WANTED: [u8; 7] = [
    code::SUBNET_MASK,
    code::ROUTER,
    code::DOMAIN_NAME_SERVER,
    code::HOST_NAME,
    code::VENDOR_SPECIFIC,
    code::VENDOR_CLASS,
    code::BOOT_FILE_NAME,
];

/// How a packet came to a controller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By the relay of this socket.
    Jack(JackId),
    /// From a client that holds this address.
    Client(Ipv4Addr),
}

/// A client's message.
fn request(body: &Body, port: usize, client: &Client, kind: MessageType) -> Request {
    let mut request = Request::new(kind, body.macs[port].0, client.xid);
    request.parameter_list = WANTED.to_vec();
    request.maximum_size = Some(1472);
    let (class, architecture): (&[u8], Option<u16>) = match (client.stage, body.firmware) {
        (Stage::BiosPxe, _) | (Stage::Ipxe, Stage::BiosPxe) => (b"PXEClient:Arch:00000:UNDI:002001", Some(0)),
        (Stage::UefiHttp, _) => (b"HTTPClient:Arch:00016:UNDI:003000", Some(16)),
        (Stage::UefiPxe | Stage::Ipxe, _) => (b"PXEClient:Arch:00007:UNDI:003016", Some(7)),
        (Stage::Bmc, _) => (b"sim-bmc", None),
        (Stage::Os, _) => (b"", None),
    };
    request.vendor_class = class.to_vec();
    request.architectures = architecture.into_iter().collect();
    if client.stage == Stage::Ipxe {
        request.user_class = b"iPXE".to_vec();
    }
    if !matches!(client.stage, Stage::Os | Stage::Bmc) {
        request.uuid = Some(body.uuid);
    }
    if let (MessageType::Request, Phase::Requesting { address, server }) = (kind, &client.phase) {
        request.requested_address = Some(*address);
        request.server_identifier = Some(*server);
    }
    request
}

impl World<'_> {
    /// A port begins to ask.
    pub(crate) fn ask(&mut self, body: usize, port: usize, stage: Stage) {
        let xid = u32::try_from(self.random.next() >> 32).unwrap_or(0);
        self.drop_lease(body, port);
        self.bodies[body].clients[port] = Some(Client { stage, xid, sent: 0, phase: Phase::Selecting });
        self.send(body, port);
    }

    /// Sends what a port's client has to say, and waits for the answer.
    fn send(&mut self, body: usize, port: usize) {
        let of = &mut self.bodies[body];
        let Some(client) = &mut of.clients[port] else { return };
        client.sent += 1;
        let (xid, sent, stage) = (client.xid, client.sent, client.stage);
        let kind = match client.phase {
            Phase::Selecting => MessageType::Discover,
            Phase::Requesting { .. } => MessageType::Request,
            Phase::Bound { .. } => return,
        };
        let (plug, client) = (of.plugs[port], client.clone());
        let packet = request(of, port, &client, kind).encode();
        if let Some(jack) = plug {
            self.relay(jack, &packet);
        }
        let shift = if matches!(stage, Stage::Os | Stage::Bmc) { sent.min(4) } else { sent };
        let wait = (2_000 << shift) + self.random.between(0, 1_000);
        self.timer(body, wait, Timer::Unanswered { port, xid, sent });
    }

    /// A switch's relay hears a packet at a socket, and passes it on to every controller.
    fn relay(&mut self, jack: JackId, packet: &[u8]) {
        let count = self.cabling.jacks.len();
        let of = &self.cabling.jacks[jack];
        if self.now < of.deaf_until {
            return;
        }
        let wrong = self.settings.planted == Some(Planted::WrongCircuit) && self.random.is(30);
        let written = if wrong { &self.cabling.jacks[(jack + 3) % count] } else { of };
        let remote = written.remote_id.as_deref().unwrap_or_default();
        let Some(relayed) = insert_relay_agent(packet, &written.circuit_id, remote, written.relay) else {
            return;
        };
        for controller in 0..self.controllers.len() {
            self.carry(|_| Happening::Request { controller, octets: relayed.clone(), way: Way::Jack(jack) });
        }
    }

    /// Over the network: lost, once, or twice; late, and so behind others.
    fn carry(&mut self, make: impl Fn(&Self) -> Happening) {
        let (lost, doubled, late) = self.weather();
        if self.random.is(lost) {
            return;
        }
        let copies = if self.random.is(doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let pause = if self.random.is(late) {
                self.random.between(100, 3_000)
            } else {
                self.random.between(1, 9)
            };
            let happening = make(self);
            self.queue.put(self.now + pause, happening);
        }
    }

    /// A packet comes to a controller.
    pub(crate) fn packet(&mut self, controller: usize, octets: &[u8], way: Way) {
        let Some(view) = self.answers(controller) else { return };
        let source = match way {
            Way::Jack(jack) => SocketAddrV4::new(self.cabling.jacks[jack].relay, SERVER_PORT),
            Way::Client(address) => SocketAddrV4::new(address, CLIENT_PORT),
        };
        let mut reply = Vec::new();
        let arrival = Arrival { source, port: SERVER_PORT };
        self.tally.packets += 1;
        let outcome = dhcp::v4(&view, octets, arrival, &mut reply);
        let Answer { destination, observed } = outcome.unwrap_or_else(|refused| {
            self.tally.refusals += 1;
            self.trace
                .line(self.now, format_args!("{controller}: refused by {way:?}: {}", refused.refusal.reason));
            Answer { destination: refused.destination, observed: refused.observed }
        });
        if let Some(observed) = observed {
            self.observed(controller, observed);
        }
        match (destination, way) {
            (Some(Destination::Relay(_)), Way::Jack(jack)) => {
                self.carry(|_| Happening::Reply { way: Way::Jack(jack), octets: reply.clone() });
            }
            (Some(Destination::Client(address)), _) => {
                self.carry(|_| Happening::Reply { way: Way::Client(address), octets: reply.clone() });
            }
            _ => {}
        }
    }

    /// A reply comes to whoever is there now.
    pub(crate) fn reply(&mut self, way: Way, octets: &[u8]) {
        let found = match way {
            Way::Jack(jack) if self.now < self.cabling.jacks[jack].deaf_until => None,
            Way::Jack(jack) => self.cabling.jacks[jack].plugged,
            Way::Client(address) => {
                let holder = self.ledgers.holders.get(&address).copied();
                holder.and_then(|body| {
                    let has = |port: &usize| {
                        self.bodies[body].clients[*port].as_ref().and_then(Client::address) == Some(address)
                    };
                    (0..3).find(has).map(|port| (body, port))
                })
            }
        };
        let Some((body, port)) = found else { return };
        let Ok(message) = Message::parse(octets) else { return };
        let of = &mut self.bodies[body];
        let Some(client) = &mut of.clients[port] else { return };
        if message.xid() != client.xid || message.mac() != Some(of.macs[port].0) {
            return;
        }
        let lease = message.number(code::LEASE_TIME).unwrap_or(600);
        let until = self.now + u64::from(lease) * 1_000;
        match (message.message_type(), &client.phase) {
            (Some(MessageType::Offer), Phase::Selecting) => {
                let Some(server) = message.server_identifier() else { return };
                client.phase = Phase::Requesting { address: message.yiaddr(), server };
                client.sent = 0;
                self.send(body, port);
            }
            (Some(MessageType::Ack), Phase::Requesting { .. }) => {
                let address = message.yiaddr();
                client.phase = Phase::Bound { address, until };
                let (xid, stage) = (client.xid, client.stage);
                let file = message.boot_file().map(|file| String::from_utf8_lossy(file).into_owned());
                self.takes_address(body, port, address);
                self.timer(body, u64::from(lease) * 500, Timer::Renew { port, xid });
                self.bound(body, port, stage, file.as_deref().unwrap_or_default());
            }
            (Some(MessageType::Ack), Phase::Bound { address, .. }) => {
                let (address, xid) = (*address, client.xid);
                client.phase = Phase::Bound { address, until };
                self.timer(body, u64::from(lease) * 500, Timer::Renew { port, xid });
            }
            (Some(MessageType::Nak), _) => {
                let stage = client.stage;
                self.ask(body, port, stage);
            }
            _ => {}
        }
    }

    /// Nothing was heard in time.
    pub(crate) fn unanswered(&mut self, body: usize, port: usize, xid: u32, sent: u32) {
        let of = &mut self.bodies[body];
        let Some(client) =
            of.clients[port].as_mut().filter(|client| (client.xid, client.sent) == (xid, sent))
        else {
            return;
        };
        let is_firmware = !matches!(client.stage, Stage::Os | Stage::Bmc);
        match client.phase {
            Phase::Bound { .. } => {}
            Phase::Requesting { .. } if sent >= TRIES => {
                let stage = client.stage;
                self.ask(body, port, stage);
            }
            Phase::Selecting if is_firmware && sent >= TRIES => {
                of.clients[port] = None;
                self.gave_up(body, port);
            }
            _ => self.send(body, port),
        }
    }

    /// Half of a lease is over, or what is left of it: its holder asks past the relay.
    pub(crate) fn renew(&mut self, body: usize, port: usize, xid: u32) {
        let now = self.now;
        let of = &self.bodies[body];
        let Some(client) = of.clients[port].as_ref().filter(|client| client.xid == xid) else { return };
        let Phase::Bound { address, until } = client.phase else { return };
        if now >= until {
            let stage = client.stage;
            return self.ask(body, port, stage);
        }
        let mut renewal = request(of, port, client, MessageType::Request);
        renewal.ciaddr = address;
        let octets = renewal.encode();
        let controller = self.random.below(self.controllers.len());
        if self.bodies[body].plugs[port].is_some() {
            self.carry(|_| Happening::Request {
                controller,
                octets: octets.clone(),
                way: Way::Client(address),
            });
        }
        // It is asked again, until it is granted or over.
        let wait = ((until - now) / 2).clamp(30_000, 3_600_000);
        self.timer(body, wait, Timer::Unrenewed { port, xid, until });
    }

    pub(crate) fn unrenewed(&mut self, body: usize, port: usize, xid: u32, until: u64) {
        let client = self.bodies[body].clients[port].as_ref();
        let same = |client: &&Client| matches!(client.phase, Phase::Bound { until: now, .. } if now == until);
        if client.filter(|client| client.xid == xid).filter(same).is_some() {
            self.renew(body, port, xid);
        }
    }

    /// Somebody else answers at its address: it says so, and lets go.
    pub(crate) fn decline(&mut self, body: usize, port: usize) {
        let of = &self.bodies[body];
        let (Some(client), Some(jack)) = (&of.clients[port], of.plugs[port]) else { return };
        let Some(address) = client.address() else { return };
        let mut decline = request(of, port, client, MessageType::Decline);
        decline.requested_address = Some(address);
        decline.server_identifier = self.answers(0).and_then(|view| view.dhcp.servers.first().copied());
        let (octets, stage) = (decline.encode(), client.stage);
        self.trace
            .line(self.now, format_args!("{} declines {address} at {}", self.bodies[body].home, PORTS[port]));
        self.relay(jack, &octets);
        self.ask(body, port, stage);
    }

    /// A port has no address any more.
    pub(crate) fn drop_lease(&mut self, body: usize, port: usize) {
        let address = self.bodies[body].clients[port].as_ref().and_then(Client::address);
        if let Some(address) = address {
            self.leaves_address(body, address);
        }
        self.bodies[body].clients[port] = None;
    }

    /// A cable is pulled, and put somewhere else or nowhere.
    pub(crate) fn plug(&mut self, body: usize, port: usize, jack: Option<JackId>) {
        if let Some(before) = self.bodies[body].plugs[port]
            && self.cabling.jacks[before].plugged == Some((body, port))
        {
            self.cabling.jacks[before].plugged = None;
        }
        if let Some((other, others)) = jack.and_then(|jack| self.cabling.jacks[jack].plugged) {
            self.drop_lease(other, others);
            self.bodies[other].plugs[others] = None;
        }
        // The link went down: a client begins anew.
        let stage = self.bodies[body].clients[port].as_ref().map(|client| client.stage);
        self.drop_lease(body, port);
        self.bodies[body].plugs[port] = jack;
        if let Some(jack) = jack {
            self.cabling.jacks[jack].plugged = Some((body, port));
        }
        match stage {
            Some(stage @ (Stage::Os | Stage::Bmc)) => self.ask(body, port, stage),
            Some(_) => self.restart(body, 5_000),
            None if port < 2 && matches!(self.bodies[body].life, Life::System(_)) => {
                self.ask(body, port, Stage::Os)
            }
            None => {}
        }
    }
}
