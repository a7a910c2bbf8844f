//! DNS judged by `dnsperf`: names of the zone and names that do not exist, against servers that load the very zone that
//! ours transfers.

use crate::arena::{Cores, Place};
use crate::dhcp::ours;
use crate::limit;
use crate::page::{Spread, ratio, spread, table};
use crate::process::{Server, find};
use crate::settings::Settings;
use crate::zone::{Zone, hundred_thousand, ten_thousand};
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Queries in a second at which the cost and the delay are compared.
const COMMON_RATE: u32 = 20_000;
/// The same, with the delay of each told: that is more work for `dnsperf`.
const TOLD_RATE: u32 = 5_000;
/// Of hundred names so many do not exist.
const ABSENT_PER_CENT: usize = 9;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rival {
    Limit,
    Ours,
    Knot,
    Nsd,
}

const ALL: &[Rival] = &[Rival::Limit, Rival::Ours, Rival::Knot, Rival::Nsd];

/// A list of questions.
struct Work {
    title: &'static str,
    zone: Zone,
    file: PathBuf,
    /// Names that exist, and that do not.
    present: usize,
    absent: usize,
}

struct Runner {
    rival: Rival,
    place: Place,
    server: Server,
    common: Vec<Told>,
    most: Vec<Told>,
    /// p99 in seconds.
    delays: Vec<f64>,
}

/// What `dnsperf` told of a run, and what the server ran for it.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Told {
    sent: f64,
    completed: f64,
    present: f64,
    absent: f64,
    per_second: f64,
    /// µs of the server's core for each answer.
    cost: f64,
}

impl Told {
    fn lost(&self) -> f64 {
        1.0 - self.completed / self.sent
    }
}

/// Everything about DNS.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let mut text = String::from("## DNS, judged by `dnsperf`\n\n");
    let missing: Vec<&str> =
        ["dnsperf", "dig"].into_iter().filter(|program| find(program).is_none()).collect();
    if !missing.is_empty() {
        return Ok(format!("{text}Left out: {} not installed.\n\n", missing.join(", ")));
    }
    text += "The others load the zone that ours transfers (`dig AXFR`). Cost: the time that the server ran, user and system, for each\n\
             answer. The rate is what `dnsperf` gets with 200 questions under way, and so often its own ceiling: see the reflector.\n\n";
    let mut works = vec![work(settings, "10,000 names, 9 % of them NXDOMAIN", 10_000, ABSENT_PER_CENT)?];
    if !settings.is_smoke {
        works.push(work(settings, "100,000 names", 100_000, 0)?);
    }
    let mut number = 0;
    for work in &works {
        let mut runners = Vec::new();
        for rival in ALL.iter().copied() {
            if rival != Rival::Limit && !settings.wants(rival.name()) {
                continue;
            }
            if rival.program().is_some_and(|program| find(program).is_none()) {
                text += &format!("Left out: {} is not installed.\n\n", rival.name());
                continue;
            }
            number += 1;
            match start(rival, number, cores, work, &runners) {
                Ok(runner) => runners.push(runner),
                Err(why) if matches!(rival, Rival::Limit | Rival::Ours) => {
                    return Err(format!("{}: {why}", rival.name()));
                }
                Err(why) => {
                    crate::say(&format!("{} is left out: {why}", rival.name()));
                    text += &format!("Left out: {} did not start.\n\n", rival.name());
                }
            }
        }
        for runner in &mut runners {
            let told = once(runner, cores, work)?;
            crate::say(&format!("{}: {told:?}", runner.rival.name()));
            let is_whole = told.completed == told.sent
                && told.present == work.present as f64
                && told.absent == work.absent as f64;
            if runner.rival == Rival::Ours && !is_whole {
                return Err(format!("not every name is answered right: {told:?}"));
            }
        }
        if settings.is_smoke {
            continue;
        }
        for round in 0..settings.rounds(5) {
            let first = round % runners.len();
            runners.rotate_left(first);
            for runner in &mut runners {
                let (rate, told_rate) = (COMMON_RATE.to_string(), TOLD_RATE.to_string());
                let common = dnsperf(runner, cores, work, &["-l", "2", "-Q", &rate])?.0;
                let most = dnsperf(runner, cores, work, &["-l", "2"])?.0;
                let (_, delay) = dnsperf(runner, cores, work, &["-l", "1", "-v", "-Q", &told_rate])?;
                crate::say(&format!(
                    "{}: {:.1} µs, {:.0} /s",
                    runner.rival.name(),
                    common.cost,
                    most.per_second
                ));
                runner.common.push(common);
                runner.most.push(most);
                runner.delays.extend(delay);
            }
            runners.rotate_right(first);
        }
        text += &format!("### {}\n\n{}", work.title, figures(&runners));
    }
    Ok(text)
}

impl Rival {
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "reflector",
            Self::Ours => "zonewright",
            Self::Knot => "knot",
            Self::Nsd => "nsd",
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Limit | Self::Ours => None,
            Self::Knot => Some("knotd"),
            Self::Nsd => Some("nsd"),
        }
    }
}

/// Reads a zone and writes the questions.
fn work(settings: &Settings, title: &'static str, count: usize, per_cent: usize) -> Result<Work, String> {
    let count = if settings.is_smoke { 1_000 } else { count };
    let design =
        if count > 31_000 { hundred_thousand(&settings.scratch)? } else { ten_thousand(&settings.scratch)? };
    let zone = Zone::read(&design)?;
    let absent = count * per_cent / 100;
    let mut met = HashSet::new();
    let names: Vec<&str> = zone
        .records
        .iter()
        .filter(|record| record.kind == "A" && met.insert(&record.name))
        .map(|record| record.name.as_str())
        .collect();
    let present = count - absent;
    let stride = (names.len() / present).max(1);
    if names.len() < present {
        return Err(format!("the zone has {} names, and {present} are needed", names.len()));
    }
    let mut present_names = names.iter().step_by(stride).take(present);
    let mut text = String::new();
    for number in 0..count {
        // Spread evenly: each hundred has its share of what does not exist.
        if number % 100 < per_cent {
            text += &format!("absent-{number}.{} A\n", zone.domain);
        } else if let Some(name) = present_names.next() {
            text += &format!("{name} A\n");
        }
    }
    let file = settings.scratch.join(format!("questions-{count}"));
    fs::write(&file, text).map_err(|error| format!("failed to write {}: {error}", file.display()))?;
    Ok(Work { title, zone, file, present, absent })
}

fn start(rival: Rival, number: u8, cores: Cores, work: &Work, before: &[Runner]) -> Result<Runner, String> {
    let place = Place::new(number, &format!("{}-{number}", rival.name()))?;
    let server = match rival {
        Rival::Limit => limit::start(&place, cores, (place.address, 53).into(), "dns")?,
        Rival::Ours => ours(&place, cores, &work.zone.design.display().to_string(), "state")?,
        Rival::Knot | Rival::Nsd => {
            let ours = before.iter().find(|runner| runner.rival == Rival::Ours);
            let file =
                transferred(ours.ok_or("ours is not there to transfer the zone from")?, &place, &work.zone)?;
            if rival == Rival::Knot {
                knot(&place, cores, &work.zone.domain, &file)?
            } else {
                nsd(&place, cores, &work.zone.domain, &file)?
            }
        }
    };
    let mut runner =
        Runner { rival, place, server, common: Vec::new(), most: Vec::new(), delays: Vec::new() };
    let (address, domain) = (runner.place.address.to_string(), work.zone.domain.clone());
    runner.server.await_answer(|| {
        let told = dig(&address, &[&domain, "SOA", "+tries=1", "+time=1"]);
        told.is_ok_and(|text| rival == Rival::Limit || text.contains("SOA"))
    })?;
    Ok(runner)
}

fn dig(server: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new("dig")
        .arg(format!("@{server}"))
        .args(["+noall", "+answer"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start dig: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("dig ended with {}: {text}", output.status)) }
}

/// The zone as ours transfers it, in a file for others.
fn transferred(ours: &Runner, place: &Place, zone: &Zone) -> Result<String, String> {
    let text = dig(&ours.place.address.to_string(), &[&zone.domain, "AXFR", "+onesoa"])?;
    if text.lines().count() < zone.ports.len() {
        return Err(format!("the transfer has {} records only\n{:.500}", text.lines().count(), text));
    }
    place.write("zone.db", &text)
}

/// One UDP worker, since it has one core; no journal; the zone from its file.
fn knot(place: &Place, cores: Cores, domain: &str, file: &str) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let text = format!(
        "server:\n    listen: {address}@53\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n    rundir: {directory}\n\
         log:\n  - target: stderr\n    any: error\n\
         database:\n    storage: {directory}\n\
         template:\n  - id: default\n    storage: {directory}\n    journal-content: none\n    zonefile-load: whole\n    zonefile-sync: -1\n\
         zone:\n  - domain: {domain}\n    file: {file}\n",
        address = place.address
    );
    let configuration = place.write("knot.conf", &text)?;
    Server::start(place, cores, &["knotd", "--config", &configuration])
}

/// One server process, no limit for each client, answers without what was not asked for.
fn nsd(place: &Place, cores: Cores, domain: &str, file: &str) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let text = format!(
        "server:\n  ip-address: {address}\n  server-count: 1\n  rrl-ratelimit: 0\n  minimal-responses: yes\n  username: \"\"\n\
         \x20 chroot: \"\"\n  zonesdir: \"{directory}\"\n  database: \"\"\n  pidfile: \"{directory}/pid\"\n\
         \x20 xfrdfile: \"{directory}/xfrd\"\n  zonelistfile: \"{directory}/zones\"\n  xfrdir: \"{directory}\"\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: \"{domain}\"\n  zonefile: \"{file}\"\n",
        address = place.address
    );
    let configuration = place.write("nsd.conf", &text)?;
    Server::start(place, cores, &["nsd", "-d", "-c", &configuration])
}

/// Every question once.
fn once(runner: &Runner, cores: Cores, work: &Work) -> Result<Told, String> {
    Ok(dnsperf(runner, cores, work, &["-n", "1", "-t", "30"])?.0)
}

/// A run, and the p99 of its delays where they were told one by one.
fn dnsperf(
    runner: &Runner,
    cores: Cores,
    work: &Work,
    words: &[&str],
) -> Result<(Told, Option<f64>), String> {
    let (address, file) = (runner.place.address.to_string(), work.file.display().to_string());
    let fixed = ["dnsperf", "-s", &address, "-d", &file, "-c", "4", "-T", "1", "-q", "200"];
    let before = runner.server.time();
    let output = cores
        .judge(&[&fixed, words].concat())
        .output()
        .map_err(|error| format!("failed to start dnsperf: {error}"))?;
    let time = runner.server.time().saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut told = read(&text).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("dnsperf ended with {}\n{text:.500}{errors}", output.status)
    })?;
    told.cost = time.as_secs_f64() * 1e6 / told.completed;
    Ok((told, p99(&text)))
}

/// Reads its report.
fn read(text: &str) -> Option<Told> {
    let line = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let figure = |label: &str| line(label)?.split_whitespace().next()?.parse::<f64>().ok();
    let codes = line("Response codes:").unwrap_or_default();
    let code = |name: &str| -> f64 {
        let part = codes.split(", ").find_map(|part| part.strip_prefix(name));
        part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
    };
    Some(Told {
        sent: figure("Queries sent:")?,
        completed: figure("Queries completed:")?,
        present: code("NOERROR "),
        absent: code("NXDOMAIN "),
        per_second: figure("Queries per second:")?,
        cost: 0.0,
    })
}

/// The delay of all but one in hundred, from its lines `> NOERROR name A 0.000123`.
fn p99(text: &str) -> Option<f64> {
    let told = text.lines().filter(|line| line.starts_with("> "));
    let mut delays: Vec<f64> = told.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    delays.sort_by(f64::total_cmp);
    delays.get(delays.len() * 99 / 100).copied()
}

fn figures(runners: &[Runner]) -> String {
    let cost = |rival: Rival| {
        let runner = runners.iter().find(|runner| runner.rival == rival)?;
        Spread::of(runner.common.iter().map(|told| told.cost))
    };
    let best = [cost(Rival::Knot), cost(Rival::Nsd)]
        .into_iter()
        .flatten()
        .min_by(|a, b| a.median.total_cmp(&b.median));
    let head = [
        "server",
        "cost at 20,000 /s, µs",
        "÷ better of Knot and NSD",
        "÷ reflector",
        "p99 at 5,000 /s, ms",
        "answers /s",
        "cost there, µs",
        "lost",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for runner in runners {
        let own = cost(runner.rival);
        let lost = runner.common.iter().chain(&runner.most).map(Told::lost).fold(0.0, f64::max);
        let mark = if lost > 0.001 { " (disqualified)" } else { "" };
        rows.push(vec![
            runner.rival.name().to_owned(),
            spread(runner.common.iter().map(|told| told.cost), 2),
            ratio(own, best),
            ratio(own, cost(Rival::Limit)),
            spread(runner.delays.iter().map(|delay| delay * 1e3), 2),
            format!("{}{mark}", spread(runner.most.iter().map(|told| told.per_second), 0)),
            spread(runner.most.iter().map(|told| told.cost), 2),
            format!("{:.3} %", lost * 100.0),
        ]);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_report_is_read() {
        let text = "> NOERROR a.example A 0.000100\n> NOERROR b.example A 0.000300\n\nStatistics:\n\n  Queries sent:         1000\n\
                    \x20 Queries completed:    999 (99.90%)\n  Queries lost:         1 (0.10%)\n\n\
                    \x20 Response codes:       NOERROR 909 (90.99%), NXDOMAIN 90 (9.01%)\n  Queries per second:   76000.100000\n";
        let told = read(text).expect("a report");
        let wanted = Told {
            sent: 1000.0,
            completed: 999.0,
            present: 909.0,
            absent: 90.0,
            per_second: 76_000.1,
            cost: 0.0,
        };
        assert_eq!(told, wanted);
        assert_eq!(p99(text), Some(0.0003));
        assert_eq!(read("usage"), None);
    }
}
