//! A DHCPv4 client: RFC 2131 §4.4 as firmware does it (ask, take, done), and on to renewals as a system does.
//!
//! The driver sends what [`Client::poll`] gives, passes in what arrives for port 68, and calls [`Client::tick`] when
//! [`Client::deadline`] is reached.

use model::facts::Stage;
use model::{Mac, Time};
use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;
use wire::dhcp4::{Message, MessageType, Request, code};

/// The longest wait of a client that never gives up (RFC 2131 §4.1).
const WAIT_LONGEST: Duration = Duration::from_secs(64);
/// Times that a REQUEST is sent for one offer before the client begins anew.
const REQUESTS_MAX: u32 = 4;

/// How one kind of client asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persona {
    /// The stage of a boot it is.
    pub stage: Stage,
    /// Option 60.
    pub vendor_class: Cow<'static, str>,
    /// Option 93.
    pub architecture: Option<u16>,
    /// Option 77, as it goes on the wire.
    pub user_class: &'static str,
    /// Option 55.
    pub parameters: &'static [u8],
    /// Option 57.
    pub maximum_size: Option<u16>,
    /// More options, as they go on the wire.
    pub more: &'static [(u8, &'static [u8])],
    /// It sends its UUID (Option 97).
    pub sends_uuid: bool,
    /// It cannot take unicast before it has an address.
    pub broadcast: bool,
    /// What it takes for an offer.
    pub accepts: Accepts,
    /// How long it waits for an answer to its first, second, … message. After the last it gives up; an empty list
    /// never gives up and waits as RFC 2131 §4.1 says.
    pub waits: &'static [Duration],
}

/// Which offers a client takes; it goes on waiting when another comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepts {
    /// Any with an address.
    Address,
    /// One with a boot file, and Option 60 `PXEClient` or none.
    BootFile,
    /// One with Option 60 `HTTPClient` and a URI as boot file (UEFI 2.10 §24.7.3).
    BootUri,
}

/// A client on one interface.
#[derive(Clone, Debug)]
pub struct Client {
    persona: Persona,
    mac: Mac,
    uuid: [u8; 16],
    xid: u32,
    began: Time,
    /// Messages sent in this state.
    sent: u32,
    due: bool,
    deadline: Time,
    state: State,
    /// A number that spreads retries of many machines.
    spread: u32,
}

/// Where a client is in RFC 2131's figure 5.
#[derive(Clone, PartialEq, Debug)]
enum State {
    Selecting,
    Requesting { offer: Lease },
    Bound { lease: Lease, at: Time },
    Renewing { lease: Lease, at: Time },
    Rebinding { lease: Lease, at: Time },
    GaveUp,
}

/// What a server granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix_length: u8,
    /// Routers, preferred first.
    pub routers: Vec<Ipv4Addr>,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// The next server to boot from: siaddr, or Option 66 if it is an address.
    pub next_server: Option<Ipv4Addr>,
    /// The boot file or URI.
    pub boot_file: String,
    /// Option 60 of the reply.
    pub vendor_class: Vec<u8>,
    /// Option 12.
    pub host_name: String,
    /// How long it is good; `None` is for ever.
    pub lease: Option<Duration>,
    /// When to renew (T1).
    pub renew: Duration,
    /// When to ask anyone (T2).
    pub rebind: Duration,
}

/// Where a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To everybody on the link, from no address.
    Broadcast,
    /// To everybody on the link, from the client's own address.
    BroadcastFrom(Ipv4Addr),
    /// To a server, from the client's own address.
    Server {
        /// The own address.
        from: Ipv4Addr,
        /// The server.
        to: Ipv4Addr,
    },
}

impl Client {
    /// A client that begins to ask at `now`. `seed` gives the transaction number and spreads the retries.
    pub fn new(persona: Persona, mac: Mac, uuid: [u8; 16], seed: u32, now: Time) -> Self {
        Self {
            persona,
            mac,
            uuid,
            xid: seed,
            began: now,
            sent: 0,
            due: true,
            deadline: now,
            state: State::Selecting,
            spread: seed % 1000,
        }
    }

    /// Number of the exchange.
    pub fn xid(&self) -> u32 {
        self.xid
    }

    /// Its hardware address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The lease held.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound { lease, .. } | State::Renewing { lease, .. } | State::Rebinding { lease, .. } => {
                Some(lease)
            }
            State::Selecting | State::Requesting { .. } | State::GaveUp => None,
        }
    }

    /// No server answered in the time that this firmware waits.
    pub fn gave_up(&self) -> bool {
        self.state == State::GaveUp
    }

    /// When to call [`Client::tick`]; `None` if never.
    pub fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::GaveUp => None,
            State::Bound { lease, .. } if lease.lease.is_none() => None,
            _ => Some(self.deadline),
        }
    }

    /// The message to send now, if there is one.
    pub fn poll(&mut self, now: Time) -> Option<(Vec<u8>, Destination)> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        self.sent += 1;
        let (message, destination) = match &self.state {
            State::Selecting => (self.message(MessageType::Discover, now), Destination::Broadcast),
            State::Requesting { offer } => {
                let mut message = self.message(MessageType::Request, now);
                message.requested_address = Some(offer.address);
                message.server_identifier = Some(offer.server);
                (message, Destination::Broadcast)
            }
            // RFC 2131 §4.3.2: a renewal names neither the server nor the wanted address.
            State::Renewing { lease, .. } => {
                let mut message = self.message(MessageType::Request, now);
                message.ciaddr = lease.address;
                (message, Destination::Server { from: lease.address, to: lease.server })
            }
            State::Rebinding { lease, .. } => {
                let mut message = self.message(MessageType::Request, now);
                message.ciaddr = lease.address;
                (message, Destination::BroadcastFrom(lease.address))
            }
            State::Bound { .. } | State::GaveUp => return None,
        };
        self.deadline = now + self.wait(now);
        Some((message.encode(), destination))
    }

    /// Takes what arrived for port 68. Messages for others, and nonsense, change nothing.
    pub fn receive(&mut self, octets: &[u8], now: Time) {
        let Ok(message) = Message::parse(octets) else { return };
        if message.is_request() || message.xid() != self.xid || message.mac() != Some(self.mac.0) {
            return;
        }
        match (message.message_type(), &self.state) {
            (Some(MessageType::Offer), State::Selecting) => {
                if let Some(offer) = lease(&message).filter(|offer| self.accepts(offer)) {
                    self.enter(State::Requesting { offer }, true, now);
                }
            }
            (Some(MessageType::Ack), State::Requesting { offer }) => {
                let granted = lease(&message).filter(|granted| granted.server == offer.server);
                self.bind(granted, now);
            }
            (Some(MessageType::Ack), State::Renewing { .. } | State::Rebinding { .. }) => {
                self.bind(lease(&message), now);
            }
            (
                Some(MessageType::Nak),
                State::Requesting { .. } | State::Renewing { .. } | State::Rebinding { .. },
            ) => self.begin_again(now),
            _ => {}
        }
    }

    /// Says that time has passed.
    pub fn tick(&mut self, now: Time) {
        if now < self.deadline {
            return;
        }
        match self.state.clone() {
            State::GaveUp => {}
            State::Selecting => {
                if !self.persona.waits.is_empty() && self.sent as usize >= self.persona.waits.len() {
                    self.enter(State::GaveUp, false, now);
                } else {
                    self.due = true;
                }
            }
            State::Requesting { .. } if self.sent >= REQUESTS_MAX => self.begin_again(now),
            State::Requesting { .. } => self.due = true,
            State::Bound { lease, at } => self.enter(State::Renewing { lease, at }, true, now),
            State::Renewing { lease, at } | State::Rebinding { lease, at } => {
                if lease.lease.is_some_and(|time| now.since(at) >= time) {
                    self.begin_again(now);
                } else if now.since(at) >= lease.rebind {
                    self.enter(State::Rebinding { lease, at }, true, now);
                } else {
                    self.due = true;
                }
            }
        }
    }

    fn accepts(&self, offer: &Lease) -> bool {
        match self.persona.accepts {
            Accepts::Address => true,
            Accepts::BootFile => {
                !offer.boot_file.is_empty()
                    && (offer.vendor_class.is_empty() || offer.vendor_class.starts_with(b"PXEClient"))
            }
            Accepts::BootUri => {
                offer.vendor_class.starts_with(b"HTTPClient") && offer.boot_file.starts_with("http")
            }
        }
    }

    fn bind(&mut self, granted: Option<Lease>, now: Time) {
        let Some(lease) = granted else { return };
        let renew = lease.renew;
        self.enter(State::Bound { lease, at: now }, false, now);
        // Many machines that booted together should not renew together.
        self.deadline = now + renew.mul_f64(1.0 - f64::from(self.spread) / 10_000.0);
    }

    fn begin_again(&mut self, now: Time) {
        self.xid = self.xid.wrapping_add(1);
        self.began = now;
        self.enter(State::Selecting, true, now);
    }

    fn enter(&mut self, state: State, due: bool, now: Time) {
        // A rebinding client that repeats itself keeps its count, or its waits would never grow.
        if std::mem::discriminant(&state) != std::mem::discriminant(&self.state) {
            self.sent = 0;
        }
        self.state = state;
        self.due = due;
        self.deadline = now;
    }

    fn message(&self, kind: MessageType, now: Time) -> Request {
        let persona = &self.persona;
        let secs = u16::try_from(now.since(self.began).as_secs()).unwrap_or(u16::MAX);
        let mut more: Vec<(u8, Vec<u8>)> =
            persona.more.iter().map(|(code, data)| (*code, data.to_vec())).collect();
        if persona.sends_uuid {
            more.sort_by_key(|(code, _)| *code);
        }
        Request {
            secs,
            broadcast: persona.broadcast,
            parameter_list: persona.parameters.to_vec(),
            maximum_size: persona.maximum_size,
            vendor_class: persona.vendor_class.as_bytes().to_vec(),
            user_class: persona.user_class.as_bytes().to_vec(),
            architectures: persona.architecture.into_iter().collect(),
            uuid: persona.sends_uuid.then_some(self.uuid),
            more,
            ..Request::new(kind, self.mac.0, self.xid)
        }
    }

    /// How long to wait for the answer to the message just counted.
    fn wait(&self, now: Time) -> Duration {
        match &self.state {
            State::Renewing { lease, at } | State::Rebinding { lease, at } => {
                // RFC 2131 §4.4.5: half the time that is left, and not below a minute. The lab's leases can be shorter
                // than that, so the floor is a second here.
                let until = match &self.state {
                    State::Renewing { .. } => lease.rebind,
                    _ => lease.lease.unwrap_or(WAIT_LONGEST),
                };
                (until.saturating_sub(now.since(*at)) / 2).max(Duration::from_secs(1))
            }
            _ => {
                let number = (self.sent.max(1) - 1) as usize;
                let fixed = self.persona.waits.get(number).or(self.persona.waits.last()).copied();
                fixed.unwrap_or_else(|| {
                    // 4, 8, … 64 seconds, one second to either side.
                    let wait = Duration::from_secs(4 << number.min(4)).min(WAIT_LONGEST);
                    wait.saturating_sub(Duration::from_secs(1))
                        + Duration::from_millis(u64::from(self.spread) * 2)
                })
            }
        }
    }
}

/// What an OFFER or ACK grants; `None` if it lacks what RFC 2131 table 3 demands.
fn lease(message: &Message<'_>) -> Option<Lease> {
    let address = message.yiaddr();
    let server = message.server_identifier()?;
    if address.is_unspecified() {
        return None;
    }
    let mask = message.address(code::SUBNET_MASK).map_or(u32::MAX, u32::from);
    let seconds = message.number(code::LEASE_TIME)?;
    let lease = (seconds != u32::MAX).then(|| Duration::from_secs(u64::from(seconds)));
    let time = |code, numerator: u32| {
        let told = message.number(code).map(|seconds| Duration::from_secs(u64::from(seconds)));
        told.unwrap_or_else(|| lease.unwrap_or(Duration::MAX / 8) * numerator / 8)
    };
    let text = |octets: &[u8]| {
        let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
        String::from_utf8_lossy(&octets[..end]).into_owned()
    };
    let tftp = message.option(code::TFTP_SERVER_NAME).and_then(|name| text(name).parse().ok());
    Some(Lease {
        address,
        prefix_length: u8::try_from(mask.leading_ones()).unwrap_or(32),
        routers: message
            .option(code::ROUTER)
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|octets| Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
            .collect(),
        server,
        next_server: Some(message.siaddr()).filter(|address| !address.is_unspecified()).or(tftp),
        boot_file: message.boot_file().map(text).unwrap_or_default(),
        vendor_class: message.vendor_class().to_vec(),
        host_name: message.option(code::HOST_NAME).map(text).unwrap_or_default(),
        lease,
        renew: time(code::RENEWAL_TIME, 4),
        rebind: time(code::REBINDING_TIME, 7),
    })
}
