//! One large image over HTTP: whole, by many at once, in ranges.

use super::fetch::{Work, fetch};
use crate::arena::{Cores, Place};
use crate::page::{Spread, ratio, spread, table};
use crate::process::{Server, find};
use crate::settings::Settings;
use std::net::SocketAddr;
use std::path::Path;

/// The image.
const NAME: &str = "image.bin";
const SIZE: usize = 1 << 30;
const SMOKE_SIZE: usize = 16 << 20;
/// Who is compared, in the order of the tables.
const SERVERS: [&str; 3] = ["sendfile loop", "zonewright", "nginx"];

/// Ours sends files at this priority by itself. The others get it too, so that other work of the machine is felt by all.
const OUR_PRIORITY: [&str; 3] = ["nice", "-n", "5"];

/// One piece of work and what each server made of it.
struct Row {
    what: String,
    connections: usize,
    work: Work,
    /// Of each server: GB/s, and milliseconds of its core for a GB.
    rates: Vec<Vec<f64>>,
    costs: Vec<Vec<f64>>,
}

/// Everything about HTTP boot.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let size = if settings.is_smoke { SMOKE_SIZE } else { SIZE };
    let file = super::write_file(NAME, size)?;
    let (mut servers, mut absent) = (Vec::new(), Vec::new());
    for (number, name) in (1..).zip(SERVERS) {
        if name == "nginx" && find("nginx").is_none() {
            absent.push("nginx is not installed");
            continue;
        }
        if name != SERVERS[0] && !settings.wants(name) {
            continue;
        }
        let place = Place::new(number, name)?;
        let address = SocketAddr::from((place.address, 80));
        let mut server = start(name, &place, cores, settings, &file)?;
        let first = Work { path: path(), ranges: vec![Some((0, 1000))], size };
        server.await_answer(|| fetch(address, 1, &first).is_ok())?;
        servers.push((name, address, server));
    }
    let mut rows = rows(size, servers.len());
    let rounds = settings.rounds(5);
    for round in 0..rounds {
        crate::say(&format!("round {} of {rounds}", round + 1));
        for row in &mut rows {
            for turn in 0..servers.len() {
                let at = (turn + round) % servers.len();
                let (name, address, server) = &servers[at];
                measure(row, at, *address, server).map_err(|why| format!("{name}, {}: {why}", row.what))?;
            }
        }
    }
    let names: Vec<&str> = servers.iter().map(|(name, ..)| *name).collect();
    let left_out = absent.iter().map(|why| format!("Left out: {why}.\n\n")).collect::<String>();
    Ok(page(&names, &rows, size, settings) + &left_out)
}

fn path() -> String {
    format!("/loader/{NAME}")
}

fn start(
    name: &str,
    place: &Place,
    cores: Cores,
    settings: &Settings,
    file: &Path,
) -> Result<Server, String> {
    match name {
        "zonewright" => super::ours(place, cores, settings),
        "nginx" => nginx(place, cores),
        _ => {
            let this =
                std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
            let (this, address) = (this.display().to_string(), format!("{}:80", place.address));
            let file = file.display().to_string();
            Server::start(place, cores, &[&OUR_PRIORITY[..], &[&this, "sendfile", &address, &file]].concat())
        }
    }
}

/// One worker as one core has, `sendfile`, whole packets, no log, open files remembered.
fn nginx(place: &Place, cores: Cores) -> Result<Server, String> {
    let directory = place.directory()?.display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {directory}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\nworker_rlimit_nofile 8192;\npid {directory}/pid;\n\
         error_log stderr error;\nevents {{ worker_connections 4096; }}\nhttp {{\n{temporary}  access_log off;\n  sendfile on;\n  \
         tcp_nopush on;\n  keepalive_requests 1000000;\n  open_file_cache max=16;\n  default_type application/octet-stream;\n  \
         server {{ listen {}:80 backlog=4096; root {}; }}\n}}\n",
        place.address,
        super::root().display()
    );
    let configuration = place.write("nginx.conf", &text)?;
    let words = ["nginx", "-e", "stderr", "-c", &configuration];
    Server::start(place, cores, &[&OUR_PRIORITY[..], &words].concat())
}

fn rows(size: usize, servers: usize) -> Vec<Row> {
    let row = |what: String, connections, ranges| Row {
        what,
        connections,
        work: Work { path: path(), ranges, size },
        rates: vec![Vec::new(); servers],
        costs: vec![Vec::new(); servers],
    };
    let part = (size / 64).max(1 << 20);
    let megabyte = 1 << 20;
    vec![
        row("1 client, the whole".to_owned(), 1, vec![None]),
        row(format!("200 clients, {} MiB each", part >> 20), 200, vec![Some((size - part, part))]),
        row(
            "1 client, 1 MiB after 1 MiB".to_owned(),
            1,
            (0..size / megabyte).map(|number| Some((number * megabyte, megabyte))).collect(),
        ),
    ]
}

fn measure(row: &mut Row, at: usize, address: SocketAddr, server: &Server) -> Result<(), String> {
    let before = server.time();
    let (octets, took) = fetch(address, row.connections, &row.work)?;
    let cost = server.time() - before;
    let gigabytes = octets as f64 / 1e9;
    row.rates[at].push(gigabytes / took.as_secs_f64());
    row.costs[at].push(cost.as_secs_f64() * 1e3 / gigabytes);
    Ok(())
}

fn page(names: &[&str], rows: &[Row], size: usize, settings: &Settings) -> String {
    if settings.is_smoke {
        return format!("## HTTP boot\n\nEvery octet came, from {}.\n\n", names.join(", "));
    }
    let against = names.iter().position(|name| *name == "nginx");
    let head = ["work", "server", "GB/s", "÷ nginx", "ms of its core per GB", "÷ nginx"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        for (at, name) in names.iter().enumerate() {
            let of = |figures: &[Vec<f64>], at: usize| Spread::of(figures[at].iter().copied());
            let beside = |figures: &[Vec<f64>]| {
                ratio(of(figures, at), against.and_then(|against| of(figures, against)))
            };
            lines.push(vec![
                row.what.clone(),
                (*name).to_owned(),
                spread(row.rates[at].iter().copied(), 2),
                beside(&row.rates),
                spread(row.costs[at].iter().copied(), 0),
                beside(&row.costs),
            ]);
        }
    }
    format!(
        "## HTTP boot\n\nAn image of {} MiB in memory. The client throws bodies away inside the kernel, so the server's core is what is\n\
         full. The sendfile loop is the limit: it decides nothing.\n\n{}",
        size >> 20,
        table(&lines)
    )
}
