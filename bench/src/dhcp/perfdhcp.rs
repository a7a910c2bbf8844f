//! The same judged by `perfdhcp`, Kea's own generator, as a relay with one client.

use super::Runner;
use super::rivals::Rival;
use super::v4::agent;
use crate::arena::{Cores, shell};
use crate::page::{Spread, spread, table};
use crate::process::find;
use crate::settings::Settings;
use crate::zone::Zone;

/// The share of exchanges that may fail.
const LOSSES_MAX: f64 = 0.001;
/// A generator that begins less than this share of the rate is at its ceiling.
const OFFERED_LEAST: f64 = 0.97;
/// Where the search begins, exchanges per second.
const FIRST_RATE: u32 = 500;
/// Steps between the last good rate and the first that is not.
const STEPS: usize = 3;

/// What it told of one run.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Told {
    /// Exchanges begun.
    sent: f64,
    /// Exchanges that were not completed.
    drops: f64,
    /// The share of the time that the server's core was busy, in per cent.
    busy: f64,
}

impl Told {
    fn is_clean(self) -> bool {
        self.sent > 0.0 && self.drops <= self.sent * LOSSES_MAX
    }
}

/// The part of the page.
pub(crate) fn part(
    settings: &Settings,
    cores: Cores,
    zone: &Zone,
    runners: &[Runner],
) -> Result<String, String> {
    if find("perfdhcp").is_none() {
        return Ok(
            "`perfdhcp` (Debian: kea-admin) is not installed: its judgement is left out.\n\n".to_owned()
        );
    }
    let head = ["server", "exchanges /s", "what ended it", "core busy at what was too much"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let judged = runners.iter().filter(|runner| runner.rival != Rival::Limit);
    let mut found: Vec<(&Runner, Vec<f64>, &str, Vec<f64>)> =
        judged.map(|runner| (runner, Vec::new(), "–", Vec::new())).collect();
    for _ in 0..settings.rounds(3) {
        for (runner, rates, end, busy) in &mut found {
            if settings.is_smoke {
                let told = run(cores, zone, runner, 50, 1)?;
                // A busy machine may be late for some; `perfdhcp` calls that a drop.
                if runner.rival.is_ours() && told.drops >= told.sent {
                    return Err(format!("perfdhcp says of {}: {told:?}", runner.rival.name()));
                }
                continue;
            }
            let (rate, (ended, share)) = search(|rate| run(cores, zone, runner, rate, 1))?;
            crate::say(&format!("perfdhcp and {}: {rate} /s", runner.rival.name()));
            rates.push(f64::from(rate));
            *end = ended;
            busy.push(share);
        }
    }
    if settings.is_smoke {
        return Ok(String::new());
    }
    for (runner, rates, end, busy) in found {
        let shown = Spread::of(rates.iter().copied()).filter(|rates| rates.median > 0.0);
        let rate = shown.map_or("none".to_owned(), |_| spread(rates, 0));
        let busy = format!("{} %", spread(busy, 0));
        rows.push(vec![runner.rival.name().to_owned(), rate, end.to_owned(), busy]);
    }
    Ok(format!(
        "### Judged by `perfdhcp`\n\nOne client behind one port, the highest rate of which at most 0.1 % dropped. `perfdhcp` writes one message for each\n\
         system call; where it begins fewer exchanges than it was told to, or drops while the server's core has time left, its own\n\
         ceiling ended the search.\n\n{}",
        table(&rows)
    ))
}

/// Why a rate is not good, and how busy the server was.
type End = (&'static str, f64);

/// The highest good rate and why there is none higher.
fn search(mut run: impl FnMut(u32) -> Result<Told, String>) -> Result<(u32, End), String> {
    let (mut low, mut high) = (0, FIRST_RATE);
    let mut judge = |rate: u32| -> Result<Option<End>, String> {
        let mut verdict = None;
        // Other work of the machine may spoil one try.
        for _ in 0..2 {
            let told = run(rate)?;
            verdict = if told.sent < f64::from(rate) * OFFERED_LEAST {
                Some(("its ceiling", told.busy))
            } else if told.is_clean() {
                return Ok(None);
            } else {
                Some(("losses", told.busy))
            };
        }
        Ok(verdict)
    };
    let mut end = loop {
        match judge(high)? {
            None => (low, high) = (high, high * 2),
            Some(why) => break why,
        }
    };
    for _ in 0..STEPS {
        let middle = low.midpoint(high);
        match judge(middle)? {
            None => low = middle,
            Some(why) => (high, end) = (middle, why),
        }
    }
    Ok((low, end))
}

/// One run.
fn run(cores: Cores, zone: &Zone, runner: &Runner, rate: u32, seconds: u32) -> Result<Told, String> {
    let port = &zone.ports[0];
    let relay = zone.subnets[port.subnet].relay4;
    let cable = &runner.place.cable;
    let option: String = agent(&port.circuit_id, port.remote_id.as_deref())[2..]
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    // It sends by the interface that has its address, whatever the routes say.
    shell(&format!("ip address add {relay}/32 dev {cable}"))?;
    let before = runner.server.time();
    let output = cores
        .judge(&[
            "perfdhcp",
            "-4",
            "-l",
            &relay.to_string(),
            "-L",
            "67",
            "-r",
            &rate.to_string(),
            "-R",
            "1",
            "-p",
            &seconds.to_string(),
            // The client of this port, so that nobody else has its address.
            "-b",
            &format!("mac={}", port.mac.map(|octet| format!("{octet:02x}")).join(":")),
            // Microseconds: what is on its way in the end is no drop.
            "-W",
            "500000",
            "-o",
            &format!("82,{option}"),
            &runner.place.address.to_string(),
        ])
        .output()
        .map_err(|error| format!("failed to start perfdhcp: {error}"));
    let time = runner.server.time().saturating_sub(before);
    shell(&format!("ip address del {relay}/32 dev {cable}"))?;
    // Taking an address away takes the local route for it too, not the one for all relays.
    let output = output?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let busy = time.as_secs_f64() / f64::from(seconds) * 100.0;
    read(&text).map(|told| Told { busy, ..told }).ok_or_else(|| {
        format!("perfdhcp ended with {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}

/// Reads its report: of the two exchanges the first tells how many began, both what dropped.
fn read(text: &str) -> Option<Told> {
    let figure = |exchange: &str, label: &str| -> Option<f64> {
        let (_, part) = text.split_once(&format!("Statistics for: {exchange}***"))?;
        part.lines().find_map(|line| line.strip_prefix(label))?.trim_start_matches(": ").parse().ok()
    };
    Some(Told {
        sent: figure("DISCOVER-OFFER", "sent packets")?,
        drops: figure("DISCOVER-OFFER", "drops")? + figure("REQUEST-ACK", "drops").unwrap_or(0.0),
        busy: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_report_is_read() {
        let text = "***Statistics for: DISCOVER-OFFER***\nsent packets: 600\nreceived packets: 598\ndrops: 2\n\n\
                    ***Statistics for: REQUEST-ACK***\nsent packets: 598\nreceived packets: 597\ndrops: 1\n";
        assert_eq!(read(text), Some(Told { sent: 600.0, drops: 3.0, busy: 0.0 }));
        assert_eq!(read("nothing"), None);
    }

    #[test]
    fn a_search_ends_at_the_servers_rate_or_at_the_generators() {
        let server = |limit: f64, ceiling: f64| {
            search(move |rate| {
                let sent = f64::from(rate).min(ceiling);
                Ok(Told { sent, drops: (sent - limit).max(0.0), busy: 7.0 })
            })
        };
        assert_eq!(server(1_300.0, 9_000.0), Ok((1_250, ("losses", 7.0))));
        assert_eq!(server(90_000.0, 3_000.0), Ok((3_000, ("its ceiling", 7.0))));
        assert_eq!(server(0.0, 9_000.0), Ok((0, ("losses", 7.0))));
    }
}
