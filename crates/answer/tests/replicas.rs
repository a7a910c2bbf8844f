//! Two replicas that know the same answer byte for byte alike: whichever of them a packet reaches, a machine is told the
//! same, and nothing need pass between them.
//!
//! Both views are made from the same files and facts, each on its own; what differs between them is what may differ
//! between two processes, such as the seeds of their hash maps. A million random requests in a release build, fewer in
//! others; `ZW_REPLICAS` is another number.

use answer::dhcp::{Arrival, v4};
use answer::dhcp6;
use answer::dns::{Answer, Transport};
use answer::http::{self, Method};
use model::facts::{Conflict, Facts, Machine, State};
use model::finding::File;
use model::view::{Site, SiteFile};
use model::{Location, Mac, Plan, Time, View};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::path::Path;
use std::sync::Arc;
use wire::dhcp4::{MessageType, Request, insert_relay_agent};
use wire::dhcp6 as version6;

const NOW: Time = Time(1_700_000_000_000);

/// Xorshift: the same requests on every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).expect("small")).expect("small")
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Changes some octets, and now and then the length.
    fn spoil(&mut self, packet: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(packet.len());
            match self.below(6) {
                0 => packet.truncate(at.max(12)),
                1 => packet.push(self.next().to_le_bytes()[0]),
                _ => packet[at] ^= 1 << self.below(8),
            }
        }
    }
}

/// How many requests a test asks.
fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is not what it decides")]
    let asked = std::env::var("ZW_REPLICAS").ok().and_then(|number| number.parse().ok());
    asked.unwrap_or(if cfg!(debug_assertions) { 50_000 } else { 1_000_000 })
}

#[expect(clippy::disallowed_methods, reason = "the examples are files; what is tested is not")]
fn gather(root: &Path, directory: &Path, files: &mut Vec<File>) {
    for entry in
        std::fs::read_dir(directory).expect("an example").map(|entry| entry.expect("readable").path())
    {
        if entry.is_dir() {
            gather(root, &entry, files);
        } else if let Ok(text) = std::fs::read_to_string(&entry) {
            let path = entry.strip_prefix(root).expect("inside").display().to_string();
            files.push(File { path, text: text.into() });
        }
    }
}

/// One replica: everything from the text on is made anew.
fn replica() -> View {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hundred");
    let mut files = Vec::new();
    gather(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (design, findings) = design::parse(&files);
    let (plan, findings) = plan::compile(design.unwrap_or_else(|| panic!("{findings:?}")), None);
    let plan = Arc::new(plan.unwrap_or_else(|| panic!("{findings:?}")));
    let facts = facts(&plan);
    let site = site(&plan);
    plan::view(&plan, &facts, &Arc::new(site))
}

/// Some machines known, some retired, some in dispute, by their position alone.
fn facts(plan: &Plan) -> Facts {
    let mut facts = Facts::default();
    for (number, interface) in (0_u8..=255).cycle().zip(&plan.interfaces) {
        let location = &plan.design.devices[interface.device.index()].location;
        let machine: &mut Machine = facts.machines.entry(Location::new(location.as_str())).or_default();
        match number % 7 {
            0 => drop(machine.accepted.insert(interface.name.clone(), Mac([2, 0, 0, 0, 0, number]))),
            1 => machine.state = State::Ready,
            2 if number == 2 => machine.state = State::Retired { reason: "old".into(), by: "op".into() },
            3 => {
                let conflict = Conflict { at: Time(0), by: Mac([2, 0, 0, 0, 0, 9]) };
                machine.conflicts.extend(interface.v4.map(|address| (IpAddr::V4(address), conflict)));
            }
            _ => {}
        }
    }
    facts
}

fn site(plan: &Plan) -> Site {
    let file = |name: String| SiteFile {
        size: 1_000_000,
        modified: (0, 0),
        sha256: Some([7; 32]),
        source: format!("/nowhere/{name}").into(),
        name,
    };
    let images = plan.design.images.iter().flat_map(|image| {
        let paths = std::iter::once(&image.kernel).chain(&image.initrd);
        paths.map(|path| format!("image/{}/{path}", image.name))
    });
    let loaders = ["loader/ipxe.efi", "loader/undionly.kpxe", "loader/snponly.efi"].map(str::to_owned);
    Site { files: loaders.into_iter().chain(images).map(file).collect(), ..Site::default() }
}

/// A message as one of the zone's ports would send it, or an address' holder.
fn dhcp(plan: &Plan, dice: &mut Dice) -> (Vec<u8>, Arrival) {
    let binding = dice.of(&plan.bindings);
    let interface = plan.interface(binding.interface);
    let its = interface.v4.unwrap_or(Ipv4Addr::new(10, 0, 0, 1));
    let kinds = [
        MessageType::Discover,
        MessageType::Request,
        MessageType::Request,
        MessageType::Inform,
        MessageType::Decline,
        MessageType::Release,
    ];
    let number = dice.next().to_le_bytes();
    let is_renewal = dice.below(4) == 0;
    let request = Request {
        kind: Some(*dice.of(&kinds)),
        xid: u32::from_le_bytes([number[0], number[1], number[2], number[3]]),
        hardware: vec![2, 0, 0, 0, 0, number[4]],
        ciaddr: if is_renewal { its } else { Ipv4Addr::UNSPECIFIED },
        requested_address: (dice.below(3) == 0).then_some(its),
        parameter_list: (0..dice.below(20)).map(|_| dice.next().to_le_bytes()[1]).collect(),
        vendor_class: dice
            .of(&[&b""[..], b"PXEClient:Arch:00007:UNDI:003016", b"HTTPClient", b"iDRAC"])
            .to_vec(),
        user_class: dice.of(&[&b""[..], b"\x04iPXE"]).to_vec(),
        architectures: dice.of(&[&[][..], &[7_u16][..], &[0], &[16]]).to_vec(),
        ..Request::default()
    };
    let routers = &plan.subnet(interface.subnet).routers;
    let giaddr = routers.iter().find(|router| router.switch == binding.switch).and_then(|router| router.v4);
    let mut packet = request.encode();
    let mut source = SocketAddrV4::new(its, 68);
    if let (false, Some(giaddr)) = (is_renewal, giaddr) {
        let remote_id = binding.remote_id.as_deref().unwrap_or(b"?");
        packet = insert_relay_agent(&packet, &binding.circuit_id, remote_id, giaddr)
            .expect("a relay passes it on");
        source = SocketAddrV4::new(giaddr, 67);
    }
    if dice.below(3) == 0 {
        dice.spoil(&mut packet);
    }
    (packet, Arrival { source, port: if dice.below(8) == 0 { 4011 } else { 67 } })
}

/// The same of DHCPv6.
fn dhcp6(plan: &Plan, view: &View, dice: &mut Dice) -> (Vec<u8>, dhcp6::Arrival) {
    let binding = dice.of(&plan.bindings);
    let interface = plan.interface(binding.interface);
    let its = interface.v6.unwrap_or(Ipv6Addr::LOCALHOST);
    let kinds = [
        version6::MessageType::Solicit,
        version6::MessageType::Request,
        version6::MessageType::Confirm,
        version6::MessageType::Renew,
        version6::MessageType::Rebind,
        version6::MessageType::Release,
        version6::MessageType::Decline,
        version6::MessageType::InformationRequest,
    ];
    let kind = *dice.of(&kinds);
    let number = dice.next();
    let mac = [2, 0, 0, 0, 0, number.to_le_bytes()[4]];
    let mut request = version6::Request::new(kind, number as u32).from(mac);
    if dice.below(4) > 0 {
        request = request.with(version6::code::SERVER_ID, view.dhcp6.server_id.to_vec());
    }
    for association in 0..dice.below(3) as u32 {
        request = request.association(association, &vec![its; dice.below(3)]);
    }
    if dice.below(2) == 0 {
        let wanted: Vec<u16> = (0..dice.below(9)).map(|_| dice.below(70) as u16).collect();
        request = request.wants(&wanted).with(version6::code::CLIENT_ARCHITECTURE, [0, *dice.of(&[7, 16])]);
    }
    let mut packet = request.encode();
    let routers = &plan.subnet(interface.subnet).routers;
    let link = routers.iter().find(|router| router.switch == binding.switch).and_then(|router| router.v6);
    let mut source = its;
    if let (0..4, Some(link)) = (dice.below(5), link) {
        let remote_id = [&[0, 0, 0, 9], binding.remote_id6.as_deref().unwrap_or(b"?")].concat();
        let says = [
            (version6::code::INTERFACE_ID, binding.interface_id()),
            (version6::code::REMOTE_ID, &remote_id[..]),
        ];
        packet = version6::relay_forward(0, link, Ipv6Addr::LOCALHOST, &says, &packet);
        source = link;
    }
    if dice.below(3) == 0 {
        dice.spoil(&mut packet);
    }
    let source = SocketAddrV6::new(source, 547, 0, 0);
    (packet, dhcp6::Arrival { source, is_multicast: dice.below(2) == 0 })
}

/// A query for a name of the zone, an address of it, or something near.
fn query(plan: &Plan, dice: &mut Dice) -> Vec<u8> {
    let interface = dice.of(&plan.interfaces);
    let domain = &plan.design.zone.domain;
    let name = match (dice.below(5), interface.v4) {
        (0, Some(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        (1, _) => domain.clone(),
        (2, _) => format!("{}x.{domain}", interface.dns_name),
        (3, _) => format!("_ssh._tcp.hypervisor.{domain}"),
        _ => format!("{}.{domain}", interface.dns_name),
    };
    let mut packet = dice.next().to_le_bytes()[..2].to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).expect("a label"));
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, *dice.of(&[1_u8, 2, 5, 6, 12, 16, 28, 33, 252, 255]), 0, 1]);
    if dice.below(4) == 0 {
        dice.spoil(&mut packet);
    }
    packet
}

fn path(plan: &Plan, dice: &mut Dice) -> String {
    let device = dice.of(&plan.design.devices);
    match dice.below(4) {
        0 => format!("/boot/{}.ipxe", device.location),
        1 => "/boot/loader/ipxe.efi".to_owned(),
        2 => format!("/boot/{}", "../".repeat(dice.below(9))),
        _ => "/boot/auto.ipxe".to_owned(),
    }
}

#[test]
fn two_replicas_answer_byte_for_byte_alike() {
    let (one, other) = (replica(), replica());
    let plan = &one.plan;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let mut answered = [0_usize; 4];
    let rounds = rounds();
    for round in 0..rounds {
        let what = dice.below(7) / 2;
        match what {
            0 => {
                let (packet, arrival) = dhcp(plan, &mut dice);
                let outcome = v4(&one, &packet, arrival, &mut here);
                assert_eq!(outcome, v4(&other, &packet, arrival, &mut there), "{packet:x?}");
                assert_eq!(here, there, "{packet:x?}");
                answered[what] += usize::from(!here.is_empty());
            }
            1 => {
                let packet = query(plan, &mut dice);
                let client = dice.of(&plan.interfaces).v4.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4);
                let transport = *dice.of(&[Transport::Udp, Transport::Tcp]);
                let outcome = answer::dns::answer(&one, &packet, client, transport, &mut here);
                let others = answer::dns::answer(&other, &packet, client, transport, &mut there);
                match (outcome, others) {
                    (Ok(Answer::Reply(a)), Ok(Answer::Reply(b))) => {
                        assert_eq!((a, &here), (b, &there), "{packet:x?}")
                    }
                    (Ok(Answer::Transfer(_)), Ok(Answer::Transfer(_))) => continue,
                    (Err(a), Err(b)) => assert_eq!(a, b, "{packet:x?}"),
                    (a, b) => panic!("{a:?} and {b:?} for {packet:x?}"),
                }
                answered[what] += usize::from(!here.is_empty());
            }
            2 => {
                let (packet, arrival) = dhcp6(plan, &one, &mut dice);
                let outcome = dhcp6::v6(&one, &packet, arrival, &mut here);
                assert_eq!(outcome, dhcp6::v6(&other, &packet, arrival, &mut there), "{packet:x?}");
                assert_eq!(here, there, "{packet:x?}");
                answered[what] += usize::from(!here.is_empty());
            }
            _ => {
                let path = path(plan, &mut dice);
                let request = http::Request {
                    method: *dice.of(&[Method::Get, Method::Head]),
                    path: &path,
                    range: *dice.of(&[None, Some("bytes=10-"), Some("bytes=5-1,7")]),
                    if_range: None,
                    if_none_match: None,
                    is_secure: *dice.of(&[false, true]),
                    client: dice.of(&plan.interfaces).v4.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4),
                };
                let reply = http::boot(&one, &request, NOW);
                assert_eq!(reply, http::boot(&other, &request, NOW), "{path}");
                answered[what] += usize::from(reply.is_ok());
            }
        }
        assert!(round < 1_000 || answered.iter().all(|count| *count > round / 50), "{answered:?} of {round}");
    }
}
