//! How many batches and events a second a store takes: `cargo run --release -p store --example throughput -- PLACE`, where PLACE is a
//! directory (of its own: what is in it stays) or `etcd://HOST:PORT/PREFIX`.
//!
//! The same batches for both: one event each, and 500 events of 500 machines each, one after the other, as a keeper writes them.

use model::event::What;
use model::facts::Machine;
use model::{Event, Location, Time};
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};
use store::etcd::{Access, Address};
use store::{Record, Store};

/// So long each kind of batch is written.
const FOR: Duration = Duration::from_secs(5);
const MACHINES: u32 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).ok_or("where to: a directory, or etcd://HOST:PORT/PREFIX")?;
    let mut store = match Address::is_one(&place) {
        true => Store::open_etcd(&Address::parse(&place)?, &Access::default(), "throughput")?,
        false => Store::open(Path::new(&place))?,
    };
    store.load()?;
    while !store.is_leading() {
        if store.follow()?.reload {
            store.load()?;
        }
    }
    let machines: Vec<(Location, Machine)> = (0..MACHINES)
        .map(|number| (Location::new(&format!("z/p/r/u{number}")), Machine::default()))
        .collect();
    for size in [1, machines.len()] {
        let (mut batches, mut longest, began) = (0_u32, Duration::ZERO, Instant::now());
        while began.elapsed() < FOR {
            let from = (batches as usize * size) % machines.len();
            let some: Vec<_> = machines.iter().cycle().skip(from).take(size).collect();
            let records: Vec<Record> = some
                .iter()
                .map(|(location, _)| {
                    let what = What::Connected { running: None, burns_in: false, boot: None };
                    let at = Time(u64::from(batches));
                    Record { event: Event { at, location: location.clone(), what }, state: "ready" }
                })
                .collect();
            let writing = Instant::now();
            store.append(&records, some.into_iter().map(|(location, machine)| (location, machine)), [])?;
            longest = longest.max(writing.elapsed());
            batches += 1;
            // As a keeper does, which keeps its lease by it.
            store.follow()?;
        }
        let rate = f64::from(batches) / began.elapsed().as_secs_f64();
        writeln!(
            stdout(),
            "{size:4} events in a batch: {rate:7.1} batches/s, {:8.0} events/s, the slowest in {longest:?}",
            rate * size as f64
        )?;
    }
    store.resign();
    Ok(())
}
