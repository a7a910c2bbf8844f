//! A DHCPv6 client for one address (RFC 8415 §18.2): ask, take, and on to renewals.
//!
//! The driver sends what [`Client6::poll`] gives to all servers and relays of the link, passes in what arrives for port 546, and
//! calls [`Client6::tick`] when [`Client6::deadline`] is reached. Whoever offers an address first is taken.

use model::{Mac, Time};
use std::net::Ipv6Addr;
use std::time::Duration;
use wire::dhcp6::{AssociationKind, Message, MessageType, Packet, Request, code};

/// The first wait for an answer, and the longest, while there is no address. RFC 8415 §7.6 allows an hour between Solicits, which is
/// long for a machine that waits for its place to be drawn; this is what RFC 3315 had.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_LONGEST: Duration = Duration::from_secs(120);
/// The same while an address is extended (REN_TIMEOUT, REN_MAX_RT).
const EXTEND_FIRST: Duration = Duration::from_secs(10);
const EXTEND_LONGEST: Duration = Duration::from_secs(600);
/// Times that a Request is sent for one offer before the client begins anew (REQ_MAX_RC).
const REQUESTS_MAX: u32 = 10;
/// The longest wait before the first message (SOL_MAX_DELAY).
const DELAY_MAX: Duration = Duration::from_secs(1);
/// The number of the one association.
const ASSOCIATION: u32 = 1;
/// What it asks for beside the address.
const OPTIONS: [u16; 2] = [code::CLIENT_FQDN, code::SOL_MAX_RT];

/// A client on one interface.
#[derive(Clone, Debug)]
pub(crate) struct Client6 {
    mac: Mac,
    transaction: u32,
    began: Time,
    /// Messages sent in this state.
    sent: u32,
    due: bool,
    deadline: Time,
    state: State,
    /// Below 1000; it spreads the messages of many machines.
    spread: u32,
}

/// Where a client is.
#[derive(Clone, PartialEq, Debug)]
enum State {
    Soliciting,
    Requesting { server: Box<[u8]>, address: Ipv6Addr },
    Bound { lease: Lease6, at: Time },
    Renewing { lease: Lease6, at: Time },
    Rebinding { lease: Lease6, at: Time },
}

/// What a server granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lease6 {
    /// The address.
    pub address: Ipv6Addr,
    /// Who granted it.
    server: Box<[u8]>,
    /// The first label of the name that DNS has for it (RFC 4704).
    pub host_name: String,
    /// How long it is good; `None` is for ever.
    valid: Option<Duration>,
    /// When to extend it (T1).
    renew: Duration,
    /// When to ask anyone (T2).
    rebind: Duration,
}

impl Client6 {
    /// A client that begins to ask within a second of `now`. `seed` gives the transaction numbers and spreads the messages.
    pub(crate) fn new(mac: Mac, seed: u32, now: Time) -> Self {
        let spread = seed % 1000;
        Self {
            mac,
            transaction: seed,
            began: now,
            sent: 0,
            due: false,
            deadline: now + DELAY_MAX * spread / 1000,
            state: State::Soliciting,
            spread,
        }
    }

    /// The lease held.
    pub(crate) fn lease(&self) -> Option<&Lease6> {
        match &self.state {
            State::Bound { lease, .. } | State::Renewing { lease, .. } | State::Rebinding { lease, .. } => {
                Some(lease)
            }
            State::Soliciting | State::Requesting { .. } => None,
        }
    }

    /// When to call [`Client6::tick`]; `None` if never.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Bound { lease, .. } if lease.valid.is_none() => None,
            _ => Some(self.deadline),
        }
    }

    /// The message to send now, if there is one.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        let message = match &self.state {
            State::Soliciting => self.message(MessageType::Solicit, None, None, now),
            State::Requesting { server, address } => {
                self.message(MessageType::Request, Some(server), Some(*address), now)
            }
            State::Renewing { lease, .. } => {
                self.message(MessageType::Renew, Some(&lease.server), Some(lease.address), now)
            }
            State::Rebinding { lease, .. } => {
                self.message(MessageType::Rebind, None, Some(lease.address), now)
            }
            State::Bound { .. } => return None,
        };
        self.sent += 1;
        self.deadline = now + self.wait(now);
        Some(message.encode())
    }

    /// Takes what arrived for port 546. Messages for others, and nonsense, change nothing.
    pub(crate) fn receive(&mut self, octets: &[u8], now: Time) {
        let Ok(Packet { message, .. }) = Packet::parse(octets) else { return };
        let [_, transaction @ ..] = self.transaction.to_be_bytes();
        let is_for_us = message.transaction == transaction && message.client_id() == Some(&duid(self.mac));
        let Some(server) = message.server_id().filter(|_| is_for_us) else { return };
        let granted = granted(&message, server);
        match (message.kind, self.state.clone()) {
            (MessageType::Advertise, State::Soliciting) => {
                if let Some(Lease6 { address, server, .. }) = granted {
                    self.enter(State::Requesting { server, address }, now);
                }
            }
            (MessageType::Reply, State::Requesting { server: asked, .. }) if *asked == *server => {
                match granted {
                    Some(lease) => self.bind(lease, now),
                    // It has none after all, or not this one.
                    None => self.begin_again(now),
                }
            }
            (
                MessageType::Reply,
                State::Renewing { lease: held, .. } | State::Rebinding { lease: held, .. },
            ) => match granted {
                Some(lease) if lease.address == held.address => self.bind(lease, now),
                // Nothing is known of it, or it ends now.
                _ if message.associations().next().is_some() => self.begin_again(now),
                _ => {}
            },
            _ => {}
        }
    }

    /// Says that time has passed.
    pub(crate) fn tick(&mut self, now: Time) {
        if now < self.deadline {
            return;
        }
        match self.state.clone() {
            State::Soliciting => self.due = true,
            State::Requesting { .. } if self.sent >= REQUESTS_MAX => self.begin_again(now),
            State::Requesting { .. } => self.due = true,
            State::Bound { lease, at } => self.enter(State::Renewing { lease, at }, now),
            State::Renewing { lease, at } | State::Rebinding { lease, at } => {
                let is_rebinding = matches!(self.state, State::Rebinding { .. });
                if lease.valid.is_some_and(|valid| now.since(at) >= valid) {
                    self.begin_again(now);
                } else if !is_rebinding && now.since(at) >= lease.rebind {
                    self.enter(State::Rebinding { lease, at }, now);
                } else {
                    self.due = true;
                }
            }
        }
    }

    fn bind(&mut self, lease: Lease6, now: Time) {
        let renew = lease.renew;
        self.state = State::Bound { lease, at: now };
        self.due = false;
        // Many machines that booted together should not renew together.
        self.deadline = now + renew.mul_f64(1.0 - f64::from(self.spread) / 10_000.0);
    }

    fn begin_again(&mut self, now: Time) {
        self.enter(State::Soliciting, now);
    }

    /// Another exchange begins.
    fn enter(&mut self, state: State, now: Time) {
        self.transaction = self.transaction.wrapping_add(1);
        (self.began, self.sent, self.state) = (now, 0, state);
        (self.due, self.deadline) = (true, now);
    }

    fn message(
        &self,
        kind: MessageType,
        server: Option<&[u8]>,
        address: Option<Ipv6Addr>,
        now: Time,
    ) -> Request {
        let hundredths = u16::try_from(now.since(self.began).as_millis() / 10).unwrap_or(u16::MAX);
        let mut request = Request::new(kind, self.transaction)
            .from(self.mac.0)
            .with(code::ELAPSED_TIME, hundredths.to_be_bytes());
        if let Some(server) = server {
            request = request.with(code::SERVER_ID, server);
        }
        let addresses: Vec<_> = address.into_iter().collect();
        request.association(ASSOCIATION, &addresses).wants(&OPTIONS)
    }

    /// How long to wait for the answer to the message just counted: twice as long each time, a tenth to either side (§15).
    fn wait(&self, now: Time) -> Duration {
        let (first, longest) = match &self.state {
            State::Renewing { .. } | State::Rebinding { .. } => (EXTEND_FIRST, EXTEND_LONGEST),
            _ => (WAIT_FIRST, WAIT_LONGEST),
        };
        let wait = first * (1 << self.sent.saturating_sub(1).min(10));
        let wait = wait.min(longest).mul_f64(0.9 + f64::from(self.spread) / 5000.0);
        // The end of what is held is an end of waiting, too.
        match &self.state {
            State::Renewing { lease, at } => until(now, *at, lease.rebind).min(wait),
            State::Rebinding { lease, at } => {
                lease.valid.map_or(wait, |valid| until(now, *at, valid).min(wait))
            }
            _ => wait,
        }
    }
}

/// From `now` until `after` has passed since `at`; a second at least.
fn until(now: Time, at: Time, after: Duration) -> Duration {
    after.saturating_sub(now.since(at)).max(Duration::from_secs(1))
}

/// The DUID that is made of a hardware address (RFC 8415 §11.4).
fn duid(mac: Mac) -> [u8; 10] {
    let Mac([a, b, c, d, e, f]) = mac;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

/// What an ADVERTISE or REPLY grants; `None` if it grants nothing.
fn granted(message: &Message<'_>, server: &[u8]) -> Option<Lease6> {
    let number = |octets: &[u8], at: usize| {
        octets.get(at..)?.first_chunk().map(|number: &[u8; 4]| u32::from_be_bytes(*number))
    };
    let of_ours = |data: &&[u8]| number(data, 0) == Some(ASSOCIATION);
    let mut raw = message.options.iter().filter(|(code, _)| *code == code::IA_NA).map(|(_, data)| data);
    let times = raw.find(of_ours)?;
    let association = message
        .associations()
        .find(|it| it.kind == AssociationKind::Address && it.id == ASSOCIATION.to_be_bytes())?;
    let addresses = association.options.iter().filter(|(code, _)| *code == code::IA_ADDRESS);
    let (address, preferred, valid) = addresses
        .filter_map(|(_, data)| {
            let octets: &[u8; 16] = data.first_chunk()?;
            Some((Ipv6Addr::from(*octets), number(data, 16)?, number(data, 20)?))
        })
        .find(|(_, _, valid)| *valid > 0)?;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    // A time that the server leaves to the client (§14.2).
    let time = |told: u32, numerator: u32| match (told, preferred) {
        (0, u32::MAX) => seconds(u32::MAX),
        (0, preferred) => seconds(preferred) * numerator / 10,
        (told, _) => seconds(told),
    };
    Some(Lease6 {
        address,
        server: server.into(),
        host_name: message.options.get(code::CLIENT_FQDN).and_then(first_label).unwrap_or_default(),
        valid: (valid != u32::MAX).then(|| seconds(valid)),
        renew: time(number(times, 4)?, 5),
        rebind: time(number(times, 8)?, 8),
    })
}

/// The first label after the flags.
fn first_label(option: &[u8]) -> Option<String> {
    let (length, rest) = option.get(1..)?.split_first()?;
    let label = rest.get(..usize::from(*length)).filter(|label| label.is_ascii())?;
    Some(String::from_utf8_lossy(label).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use wire::dhcp6::Reply;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const SERVER: &[u8] = &[0, 2, 0, 0, 0, 9, 1];
    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6);

    fn at(seconds: u64) -> Time {
        Time(seconds * 1000)
    }

    /// What it says now, in words.
    fn said(client: &mut Client6, now: Time) -> String {
        let Some(octets) = client.poll(now) else { return "-".to_owned() };
        let message = Packet::parse(&octets).expect("a message").message;
        let addresses: Vec<_> = message.associations().flat_map(|it| it.addresses()).collect();
        let server = if message.server_id().is_some() { " to the server" } else { "" };
        format!("{}{server} {addresses:?}", message.kind.as_str())
    }

    /// A server's answer to what it last sent: `valid` seconds for its address, or nothing at all.
    fn answer(client: &Client6, kind: MessageType, valid: Option<u32>) -> Vec<u8> {
        let asked = client.message(MessageType::Solicit, None, None, Time(0)).encode();
        let packet = Packet::parse(&asked).expect("a message");
        let mut out = Vec::new();
        let mut reply = Reply::to(&packet, kind, &mut out);
        reply.option(code::SERVER_ID, SERVER);
        reply.option(code::CLIENT_ID, &duid(MAC));
        reply.nested(code::IA_NA, |reply| {
            reply.octets(&ASSOCIATION.to_be_bytes());
            reply.octets(&[0; 8]);
            if let Some(valid) = valid {
                let valid = valid.to_be_bytes();
                reply.pieces(code::IA_ADDRESS, &[&ADDRESS.octets(), &valid, &valid]);
            }
        });
        reply.option(code::CLIENT_FQDN, b"\x01\x04hv-1\x07example\x03net\x00");
        reply.finish().expect("short");
        out
    }

    /// One that has its address since second 0, for 1000 seconds.
    fn bound() -> Client6 {
        let mut client = Client6::new(MAC, 0, at(0));
        client.tick(at(0));
        assert_eq!(said(&mut client, at(0)), "solicit []");
        client.receive(&answer(&client, MessageType::Advertise, Some(1000)), at(0));
        assert_eq!(said(&mut client, at(0)), "request to the server [2001:db8::6]");
        client.receive(&answer(&client, MessageType::Reply, Some(1000)), at(0));
        client
    }

    fn check(client: &mut Client6, seconds: impl IntoIterator<Item = u64>, expected: &Expect) {
        let mut text = String::new();
        for second in seconds {
            client.tick(at(second));
            let said = said(client, at(second));
            if said != "-" {
                text.push_str(&format!("{second}: {said}\n"));
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn it_asks_takes_and_is_called() {
        let mut client = bound();
        let lease = client.lease().expect("a lease");
        assert_eq!((lease.address, lease.host_name.as_str()), (ADDRESS, "hv-1"));
        assert_eq!((lease.renew.as_secs(), lease.rebind.as_secs()), (500, 800));
        assert_eq!(client.poll(at(1)), None);
    }

    #[test]
    fn without_an_answer_it_asks_ever_more_rarely() {
        let mut client = Client6::new(MAC, 500, at(0));
        check(
            &mut client,
            0..400,
            &expect![[r#"
                1: solicit []
                2: solicit []
                4: solicit []
                8: solicit []
                16: solicit []
                32: solicit []
                64: solicit []
                128: solicit []
                248: solicit []
                368: solicit []
            "#]],
        );
    }

    #[test]
    fn it_renews_with_its_server_then_with_any_and_then_begins_anew() {
        let mut client = bound();
        check(
            &mut client,
            0..1003,
            &expect![[r#"
            500: renew to the server [2001:db8::6]
            509: renew to the server [2001:db8::6]
            527: renew to the server [2001:db8::6]
            563: renew to the server [2001:db8::6]
            635: renew to the server [2001:db8::6]
            779: renew to the server [2001:db8::6]
            800: rebind [2001:db8::6]
            809: rebind [2001:db8::6]
            827: rebind [2001:db8::6]
            863: rebind [2001:db8::6]
            935: rebind [2001:db8::6]
            1000: solicit []
            1001: solicit []
        "#]],
        );
        assert_eq!(client.lease(), None);
    }

    #[test]
    fn an_extension_is_one_and_an_end_is_an_end() {
        let mut client = bound();
        client.tick(at(500));
        assert_eq!(said(&mut client, at(500)), "renew to the server [2001:db8::6]");
        client.receive(&answer(&client, MessageType::Reply, Some(1000)), at(501));
        assert_eq!(client.deadline(), Some(at(1001)));
        client.tick(at(1001));
        assert_eq!(said(&mut client, at(1001)), "renew to the server [2001:db8::6]");
        client.receive(&answer(&client, MessageType::Reply, Some(0)), at(1002));
        assert_eq!(client.lease(), None);
        assert_eq!(said(&mut client, at(1002)), "solicit []");
    }

    #[test]
    fn what_is_not_for_it_or_grants_nothing_changes_nothing() {
        let mut client = Client6::new(MAC, 0, at(0));
        client.tick(at(0));
        client.poll(at(0));
        let advertise = answer(&client, MessageType::Advertise, Some(1000));
        let before = format!("{client:?}");
        let mut other = advertise.clone();
        other[3] ^= 1;
        client.receive(&other, at(0));
        let stranger = Client6 { mac: Mac([2, 0, 0, 0, 0, 8]), ..client.clone() };
        let mut foreign = stranger.clone();
        foreign.receive(&advertise, at(0));
        assert_eq!(format!("{foreign:?}"), format!("{stranger:?}"));
        client.receive(&answer(&client, MessageType::Advertise, None), at(0));
        client.receive(&answer(&client, MessageType::Reply, Some(1000)), at(0));
        // Cut before the name, which it could do without.
        for length in 0..advertise.len() - 23 {
            client.receive(&advertise[..length], at(0));
        }
        assert_eq!(format!("{client:?}"), before);
        client.receive(&advertise[..advertise.len() - 23], at(0));
        assert_eq!(said(&mut client, at(0)), "request to the server [2001:db8::6]");
    }

    #[test]
    fn for_ever_needs_no_renewal() {
        let mut client = Client6::new(MAC, 0, at(0));
        client.tick(at(0));
        client.poll(at(0));
        client.receive(&answer(&client, MessageType::Advertise, Some(u32::MAX)), at(0));
        client.poll(at(0));
        client.receive(&answer(&client, MessageType::Reply, Some(u32::MAX)), at(0));
        assert!(client.lease().is_some());
        assert_eq!(client.deadline(), None);
    }
}
