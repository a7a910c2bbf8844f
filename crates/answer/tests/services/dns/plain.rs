//! A second reading of a plan, slow and plain: lists of records, looked through from end to end. It judges every answer to
//! every name of the zone and to thousands that are near them.

use super::flags;
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::IpNet;
use model::View;
use model::ids::NetworkId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Labels, in lower case.
type Labels = Vec<Vec<u8>>;

/// A record of the plan, its data in words.
struct Plain {
    owner: Labels,
    record_type: RecordType,
    data: String,
    /// The network that must be shown for it to be seen.
    network: Option<NetworkId>,
}

/// Everything there is, and the zones' names.
struct Judge {
    zones: Vec<Labels>,
    records: Vec<Plain>,
    views: Vec<(Vec<IpNet>, Vec<NetworkId>)>,
    soa: String,
}

fn labels(name: &str) -> Labels {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.split('.').filter(|label| !label.is_empty()).map(|label| label.as_bytes().to_vec()).collect()
}

/// `1.2.3.4` as `4.3.2.1.in-addr.arpa`, and the like.
fn reverse(address: IpAddr) -> Labels {
    labels(&match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            digits.chars().rev().map(|digit| format!("{digit}.")).collect::<String>() + "ip6.arpa"
        }
    })
}

impl Judge {
    fn of(view: &View) -> Self {
        let plan = &view.plan;
        let design = &plan.design;
        let domain = design.zone.domain.to_ascii_lowercase();
        let whole = |name: &str| format!("{}.{domain}.", name.to_ascii_lowercase());
        let mut records = Vec::new();
        let mut servers: Vec<String> = Vec::new();
        for interface in &plan.interfaces {
            let network = Some(plan.subnet(interface.subnet).network);
            let name = whole(&interface.dns_name);
            let mut add = |owner: Labels, record_type, data: String, network| {
                records.push(Plain { owner, record_type, data, network });
            };
            for address in [interface.v4.map(IpAddr::V4), interface.v6.map(IpAddr::V6)].into_iter().flatten()
            {
                let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
                add(labels(&name), record_type, address.to_string(), network);
                add(reverse(address), RecordType::PTR, name.clone(), network);
            }
            let location = &design.devices[interface.device.index()].location;
            add(labels(&name), RecordType::TXT, format!("location={location}"), None);
            if design.devices[interface.device.index()].kind == model::design::DeviceKind::Controller
                && !servers.contains(&name)
            {
                servers.push(name);
            }
        }
        for device in &design.devices {
            let Some(role) = device.role.map(|role| &design.roles[role.index()]) else { continue };
            for service in &role.services {
                let owner = whole(&format!("_{}._{}.{}", service.name, service.protocol, role.name));
                let data = format!("0 0 {} {}", service.port, whole(&device.name));
                records.push(Plain {
                    owner: labels(&owner),
                    record_type: RecordType::SRV,
                    data,
                    network: None,
                });
            }
        }
        let zones: Vec<Labels> = plan::dns::records(plan).0.iter().map(|zone| labels(zone)).collect();
        let soa = format!("{} hostmaster.{domain}. {} 300 60 1209600 60", servers[0], plan.generation.0);
        for zone in &zones {
            let mut add = |record_type, data: &str| {
                let data = data.to_owned();
                records.push(Plain { owner: zone.clone(), record_type, data, network: None });
            };
            add(RecordType::SOA, &soa);
            servers.iter().for_each(|server| add(RecordType::NS, server));
        }
        let views =
            design.dns_views.iter().map(|view| (view.clients.clone(), view.networks.clone())).collect();
        Self { zones, records, views, soa }
    }

    /// The reply in words: code, flags, answers, authority.
    fn judge(&self, name: &Labels, record_type: RecordType, client: IpAddr) -> String {
        let Some(zone) = self.zones.iter().find(|zone| name.ends_with(zone)) else {
            return "Query Refused rd".to_owned();
        };
        let exists = self.records.iter().any(|record| record.owner.ends_with(name));
        let view = self.views.iter().find(|(clients, _)| clients.iter().any(|net| net.contains(&client)));
        let seen = self.records.iter().filter(|record| record.owner == *name).filter(|record| {
            record.network.is_none_or(|network| view.is_none_or(|(_, networks)| networks.contains(&network)))
        });
        let seen: Vec<&Plain> = seen.collect();
        // Of everything, one set: the first.
        let wanted = match record_type {
            RecordType::ANY => seen.first().map(|record| record.record_type),
            // A change asked for over UDP is answered with the serial.
            RecordType::IXFR if name == zone => Some(RecordType::SOA),
            wanted => Some(wanted),
        };
        let answers = seen.iter().filter(|record| Some(record.record_type) == wanted);
        let mut answers: Vec<String> =
            answers.map(|record| format!("an {} {}", record.record_type, record.data)).collect();
        answers.sort();
        if answers.is_empty() {
            answers.push(format!("ns {} SOA {}", spelt(zone), self.soa));
        }
        let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        format!("{code} aa rd\n{}", answers.join("\n"))
    }

    fn names(&self) -> BTreeSet<Labels> {
        let mut names: BTreeSet<Labels> = self.records.iter().map(|record| record.owner.clone()).collect();
        for name in names.clone() {
            names.extend((0..=name.len()).map(|from| name[from..].to_vec()));
        }
        names
    }
}

fn spelt(name: &Labels) -> String {
    name.iter().map(|label| format!("{}.", String::from_utf8_lossy(label))).collect()
}

/// The same of the reply that is given. Additional records are extra, and must be true.
fn given(judge: &Judge, view: &View, name: &Name, record_type: RecordType, client: IpAddr) -> String {
    let mut message = Message::new(9, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(name.clone(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    let mut out = Vec::new();
    let answer = answer(view, &message.to_vec().unwrap(), client, Transport::Udp, &mut out).unwrap();
    assert!(matches!(answer, Answer::Reply(_)));
    let reply = Message::from_vec(&out).unwrap();
    assert_eq!(reply.queries, message.queries, "the question, in its case");
    assert!(!reply.metadata.truncation);
    let data = |record: &Record| match &record.data {
        RData::TXT(text) => String::from_utf8_lossy(&text.txt_data[0]).into_owned(),
        data => data.to_string(),
    };
    let data = |record: &Record| format!("{} {}", record.record_type(), data(record)).to_lowercase();
    for extra in &reply.additionals {
        let owner = labels(&extra.name.to_ascii());
        let is_true = |record: &&Plain| {
            record.owner == owner
                && format!("{} {}", record.record_type, record.data).to_lowercase() == data(extra)
        };
        assert!(judge.records.iter().any(|record| is_true(&record)), "{extra}");
    }
    let mut lines: Vec<String> = Vec::new();
    for answer in &reply.answers {
        assert_eq!(answer.name, *name);
        assert!(answer.name.eq_case(name), "{} for {name}", answer.name);
        lines.push(format!("an {}", data(answer)));
    }
    lines.sort();
    for authority in &reply.authorities {
        lines.push(format!("ns {} {}", authority.name.to_ascii().to_lowercase(), data(authority)));
    }
    let code = reply.metadata.response_code;
    let text = format!("{code}{}", flags(&reply.metadata));
    if lines.is_empty() { text } else { format!("{text}\n{}", lines.join("\n")) }
}

const TYPES: [u16; 16] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 65, 251, 255, 65_280];
const CLIENTS: [&str; 3] = ["10.33.1.1", "192.0.2.7", "2001:db8:33::9"];

fn compare(judge: &Judge, view: &View, name: &Labels, record_type: u16, client: &str) {
    let client = client.parse().unwrap();
    let record_type = RecordType::from(record_type);
    let asked = Name::from_labels(name.iter().map(Vec::as_slice)).unwrap();
    let lower: Labels = name.iter().map(|label| label.to_ascii_lowercase()).collect();
    let expected = judge.judge(&lower, record_type, client);
    let got = given(judge, view, &asked, record_type, client);
    assert_eq!(got.to_lowercase(), expected.to_lowercase(), "{asked} {record_type} {client}");
}

#[test]
fn every_name_with_every_type_from_every_side() {
    let view = zone::view();
    let judge = Judge::of(&view);
    let names = judge.names();
    assert!(names.len() > 100, "{}", names.len());
    for name in &names {
        for record_type in TYPES {
            for client in CLIENTS {
                compare(&judge, &view, name, record_type, client);
            }
        }
    }
}

#[test]
#[should_panic(expected = "left == right")]
fn the_judge_misses_a_record_that_it_does_not_know() {
    let view = zone::view();
    let mut judge = Judge::of(&view);
    let names = judge.names();
    let position = judge.records.iter().position(|record| record.record_type == RecordType::PTR);
    judge.records.remove(position.unwrap());
    names.iter().for_each(|name| compare(&judge, &view, name, 12, CLIENTS[0]));
}

#[test]
fn names_near_those_that_are() {
    let view = zone::view();
    let judge = Judge::of(&view);
    let names: Vec<Labels> = judge.names().into_iter().collect();
    let mut state = 20_u64;
    let mut chance = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for round in 0..30_000 {
        let mut name = names[chance(names.len())].clone();
        for _ in 0..=chance(2) {
            let other = names[chance(names.len())].clone();
            let position = chance(name.len() + 1);
            match chance(8) {
                0 => name.insert(position, other.first().cloned().unwrap_or_else(|| b"*".to_vec())),
                1 => name.insert(position, vec![u8::try_from(chance(256)).unwrap(); 1 + chance(4)]),
                2 if position < name.len() => drop(name.remove(position)),
                3 if position < name.len() => name[position].push(b"0a-_.*\\\0"[chance(8)]),
                4 if position < name.len() => {
                    let label = &mut name[position];
                    let at = chance(label.len());
                    label[at] = u8::try_from(chance(256)).unwrap();
                }
                5 if position < name.len() => name[position] = chance(300).to_string().into_bytes(),
                6 => name.extend(other),
                _ => name.iter_mut().flatten().for_each(|octet| {
                    if chance(2) == 0 {
                        octet.make_ascii_uppercase();
                    }
                }),
            }
        }
        if name.iter().map(|label| 1 + label.len()).sum::<usize>() < 255 {
            let (record_type, client) = (TYPES[chance(TYPES.len())], CLIENTS[round % CLIENTS.len()]);
            compare(&judge, &view, &name, record_type, client);
        }
    }
}
