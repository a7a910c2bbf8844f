//! Deciding alone: what reading a request and writing its answer takes, in this process and without a socket. What the server
//! spends beyond it is the kernel's network stack and the way in and out of it.

use crate::dhcp::load::{Heard, Speech as _};
use crate::dhcp::v4::{Judgement, Speech};
use crate::page::{spread, table};
use crate::settings::Settings;
use crate::zone::{Zone, ten_thousand};
use answer::dhcp::limit::{Claim, Limiter};
use answer::dhcp::{Arrival, v4};
use answer::dns::{Transport, answer};
use model::finding::File;
use model::view::Site;
use model::{Facts, InterfaceId, Time, View};
use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Messages follow one another at this distance, so that what one looks up is not warm for the next.
const STRIDE: usize = 6_133;

/// The section.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let zone = Zone::read(&ten_thousand(&settings.scratch)?)?;
    let view = view(&zone.design)?;
    let rounds = settings.rounds(15);
    let mut rows = vec![["step", "ns"].map(str::to_owned).to_vec()];
    for (step, nanoseconds) in dhcp(&zone, &view, rounds)?.into_iter().chain(dns(&zone, &view, rounds)?) {
        rows.push(vec![step.to_owned(), spread(nanoseconds, 0)]);
    }
    Ok(format!(
        "## Deciding alone\n\nWhat one packet takes between receiving and sending, in a zone of {} machines, every one in turn. A step that answers\n\
         contains the reading.\n\n{}",
        zone.ports.len(),
        table(&rows)
    ))
}

fn view(design: &Path) -> Result<View, String> {
    let file = design.join("zone.hcl");
    let text =
        fs::read_to_string(&file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    let files = [
        File { path: "checks/kvm.yaml".into(), text: "".into() },
        File { path: "zone.hcl".into(), text: text.into() },
    ];
    let (design, findings) = design::parse(&files);
    let plan = design.and_then(|design| plan::compile(design, None).0);
    let plan = plan.ok_or_else(|| format!("the example has findings: {findings:?}"))?;
    Ok(plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default())))
}

type Step = (&'static str, Vec<f64>);

fn dhcp(zone: &Zone, view: &View, rounds: usize) -> Result<Vec<Step>, String> {
    let mut speech = Speech::new(zone, Judgement::Planned);
    let mut out = Vec::with_capacity(1500);
    let (mut discovers, mut requests) = (Vec::new(), Vec::new());
    for number in 0..zone.ports.len() {
        let port = number * STRIDE % zone.ports.len();
        let discover = speech.ask(port, 1).to_vec();
        let arrival = Arrival { source: relay(&discover), port: 67 };
        // What is measured is an answer, and the right one.
        let is_offered = v4(view, &discover, arrival, &mut out).is_ok();
        if !is_offered || !matches!(speech.hear(&out), Heard::Offer(..)) {
            return Err(format!("{} is not answered as planned", zone.ports[port].location));
        }
        requests.push(speech.accept(port, 1).to_vec());
        discovers.push(discover);
    }
    let answered = |message: &Vec<u8>, out: &mut Vec<u8>| {
        let arrival = Arrival { source: relay(message), port: 67 };
        v4(view, message, arrival, out).is_ok()
    };
    let mut limiter = Limiter::new(0);
    let mut claim = 0;
    Ok(vec![
        (
            "DHCPv4: reading a DISCOVER",
            each(rounds, &discovers, |message| wire::dhcp4::Message::parse(message).is_ok()),
        ),
        ("DHCPv4: DISCOVER to OFFER", each(rounds, &discovers, |message| answered(message, &mut out))),
        ("DHCPv4: REQUEST to ACK", each(rounds, &requests, |message| answered(message, &mut out))),
        (
            "DHCPv4: a budget, when pressed",
            each(rounds, &discovers, |_| {
                claim += 1;
                let claim = Claim { interface: InterfaceId(claim % 40_000), is_known: true };
                limiter.admits(claim, Time(0))
            }),
        ),
    ])
}

fn relay(message: &[u8]) -> SocketAddrV4 {
    let octets = message[24..].first_chunk().copied().unwrap_or([0; 4]);
    SocketAddrV4::new(Ipv4Addr::from(octets), 67)
}

fn dns(zone: &Zone, view: &View, rounds: usize) -> Result<Vec<Step>, String> {
    let client = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    let mut out = Vec::with_capacity(1500);
    let records: Vec<_> = zone.records.iter().filter(|record| record.kind == "A").collect();
    let names = (0..records.len().min(zone.ports.len()))
        .map(|number| records[number * STRIDE % records.len()].name.trim_end_matches('.'));
    let there: Vec<Vec<u8>> = names.clone().map(query).collect();
    let not_there: Vec<Vec<u8>> = names.map(|name| query(&format!("no-{name}"))).collect();
    for (queries, code) in [(&there, 0), (&not_there, 3)] {
        for query in queries {
            let is_answered = answer(view, query, client, Transport::Udp, &mut out).is_ok();
            if !is_answered || out[3] & 0x0f != code {
                return Err(format!("a name is not answered as planned: {:?}", query.escape_ascii()));
            }
        }
    }
    let mut answered = |query: &Vec<u8>| answer(view, query, client, Transport::Udp, &mut out).is_ok();
    Ok(vec![
        ("DNS: reading a query", each(rounds, &there, |query| wire::dns::decode(query).is_ok())),
        ("DNS: a name's address", each(rounds, &there, &mut answered)),
        ("DNS: a name that is not there", each(rounds, &not_there, &mut answered)),
    ])
}

/// A query for a name's IPv4 address.
fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// Nanoseconds for one of `items`, of several rounds over all of them.
fn each<T>(rounds: usize, items: &[T], mut work: impl FnMut(&T) -> bool) -> Vec<f64> {
    let round = |_| {
        let began = Instant::now();
        for item in items {
            black_box(work(black_box(item)));
        }
        began.elapsed().as_secs_f64() * 1e9 / items.len().max(1) as f64
    };
    // The first warms what any server has warm.
    (0..=rounds).map(round).skip(1).collect()
}
