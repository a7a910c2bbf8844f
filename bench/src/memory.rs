//! Memory after every port was served, and a restart with what was stored.

use crate::arena::{Cores, Place};
use crate::dhcp::{Judgement, Load, Speech, ours};
use crate::page::{spread, table};
use crate::settings::Settings;
use crate::zone::{Zone, hundred_thousand, ten_thousand};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Exchanges under way while every port is served once.
const WINDOW: usize = 32;
/// How long that may take: far above what it needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Both sizes.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let mut load = Load::open((Ipv4Addr::UNSPECIFIED, 67).into())?;
    let head = ["machines", "memory (RSS), MB", "stopped, and started again, to the first answer, s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut designs = vec![ten_thousand(&settings.scratch)?];
    if !settings.is_smoke {
        designs.push(hundred_thousand(&settings.scratch)?);
    }
    for (number, design) in (1..).zip(&designs) {
        let zone = Zone::read(design)?;
        let place = Place::new(number, &format!("zonewright-{number}"))?;
        let to = SocketAddr::from((place.address, 67));
        let mut speech = Speech::new(&zone, Judgement::Planned);
        let (mut memory, mut starts) = (Vec::new(), Vec::new());
        for round in 0..settings.rounds(3) {
            let state = format!("state-{round}");
            let mut server = ours(&place, cores, design, &state)?;
            server.await_answer(|| load.one(&mut speech, to))?;
            let outcome = load.each(&mut speech, to, WINDOW, PATIENCE);
            if outcome.completed != zone.ports.len() as u64 {
                return Err(format!("not every port is served: {outcome:?}"));
            }
            memory.push(server.memory() as f64 / f64::from(1 << 20));
            server.stop()?;
            let began = Instant::now();
            let mut server = ours(&place, cores, design, &state)?;
            server.await_answer(|| load.one(&mut speech, to))?;
            starts.push(began.elapsed().as_secs_f64());
            server.stop()?;
            crate::say(&format!("{}: {memory:?} MB, {starts:?} s", zone.ports.len()));
        }
        rows.push(vec![zone.ports.len().to_string(), spread(memory, 0), spread(starts, 2)]);
    }
    Ok(format!(
        "## Memory and restart\n\n`zw serve` after each port was served once, and started again on the state that this left.\n\n{}",
        table(&rows)
    ))
}
