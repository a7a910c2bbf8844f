//! `zw edge`: answers near the machines, with or without a controller; and who may.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::commands::serve::{Service, notify, port, say, set};
use crate::times;
use api::edge::{Edge, EdgeWish, EdgeWished, Edges, Status};
use clap::{Args as ClapArgs, Subcommand};
use server::{BindPorts, EdgeOptions, Ended, StartError};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The longest file of a ticket, in octets.
const TICKET_MAX: u64 = 4096;

/// Answer DHCP, DNS, TFTP and HTTP boot near the machines, with the controllers up or down.
///
/// An edge follows a controller and keeps on its own disk what it needs: the plan, what is known of machines, and every boot file. When no
/// controller answers, and after a restart or a power cut, it goes on from there for as long as it takes, and catches up afterwards. It never goes
/// back to an older plan by itself.
///
/// First `zw edge add NAME` on a controller, which prints a ticket; then `zw edge enrol` with it here, once; then `zw edge`, as a service.
#[derive(ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  zw edge add p01 --address 10.32.4.2 >p01.ticket      on a controller\n  \
                  zw edge enrol --controller 10.32.0.10 --ticket p01.ticket\n  \
                  zw edge --state /var/lib/zonewright-edge\n  zw edge status\n\n\
                  It needs UDP 53, 67, 69, 4011 and TCP 53, 80: root, or the capability CAP_NET_BIND_SERVICE."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(ClapArgs)]
struct ServeArgs {
    /// Where the plan, the facts, the boot files and the edge's key are kept.
    #[arg(long, default_value = "/var/lib/zonewright-edge", value_name = "DIRECTORY")]
    state: PathBuf,
    /// The controllers, by address; each of several is asked when the one before does not answer [default: those that it was enrolled
    /// with, and those of the plan].
    #[arg(long, value_name = "ADDRESS[:PORT]", value_delimiter = ',', value_parser = controller)]
    controller: Vec<SocketAddr>,
    /// Serve on this address only. Default: every address of this host.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Hear DHCP on this network interface only.
    #[arg(long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// Another port for a service: dhcp, dhcp6, proxy-dhcp, dns, tftp, boot or boot-tls; 0 is any free one. HTTP boot has the controllers'
    /// port, unless it is named here: machines are told one port for both.
    #[arg(long = "port", value_name = "SERVICE=PORT", value_parser = port)]
    ports: Vec<(Service, u16)>,
    /// The most GiB of boot files that are kept. A part of the disk, up to 64 MiB, is left free in any case.
    #[arg(long, default_value_t = 64, value_name = "GIB")]
    files_max: u64,
    /// Take the zone as a controller has it, once, even if that is older than what this edge has: after a controller was put back from
    /// an old copy.
    #[arg(long)]
    accept_older: bool,
    /// Where it tells how it is, for `zw edge status` and Prometheus; `none` for nowhere.
    #[arg(long, default_value = "127.0.0.1:8482", value_name = "ADDRESS:PORT")]
    api_tcp: String,
}

#[derive(Subcommand)]
enum Command {
    /// On a controller: name a new edge, and print its ticket. It is good for one day and one edge; of a name that is there already
    /// it replaces the key.
    Add {
        /// What it is called: lower-case letters, digits, hyphens.
        #[arg(value_name = "NAME")]
        name: String,
        /// Where machines reach it; twice for both families.
        #[arg(long, required = true, value_name = "ADDRESS")]
        address: Vec<IpAddr>,
        #[command(flatten)]
        which: Which,
    },
    /// On the edge: spend a ticket on a certificate. A controller must be up.
    Enrol {
        /// Where the edge's state is to be.
        #[arg(long, default_value = "/var/lib/zonewright-edge", value_name = "DIRECTORY")]
        state: PathBuf,
        /// The controllers, by address.
        #[arg(long, required = true, value_name = "ADDRESS[:PORT]", value_delimiter = ',', value_parser = controller)]
        controller: Vec<SocketAddr>,
        /// The file with the ticket; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        ticket: PathBuf,
    },
    /// On a controller: list edges, the plan that each answers from, and what is wrong with it.
    List {
        /// Print JSON, as the API gives it.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: Which,
    },
    /// On a controller: an edge is none any more. Its certificate is worth nothing, and it stops when it hears of it.
    Remove {
        /// Which.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        which: Which,
    },
    /// On the edge: say which plan it answers from, when it last heard of a controller, and what it lacks.
    Status {
        /// Print JSON, as the edge gives it.
        #[arg(long)]
        json: bool,
        /// Where the edge tells it.
        #[arg(long, default_value = "127.0.0.1:8482", value_name = "ADDRESS:PORT")]
        edge: String,
    },
}

/// An address, with the agents' port if no other is named. No name: an edge starts where nothing else runs yet.
fn controller(text: &str) -> Result<SocketAddr, String> {
    let port = BindPorts::default().agents;
    let plain = text.strip_prefix("https://").unwrap_or(text);
    let address =
        || plain.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| SocketAddr::new(address, port));
    plain.parse().or_else(|_| address()).map_err(|_| {
        format!("{text} is no address: write one as 10.32.0.10, 10.32.0.10:{port} or [2001:db8::1]:{port}")
    })
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let told = match &args.command {
        None => return serve(&args.serve),
        Some(Command::Enrol { state, controller, ticket }) => return enrol(state, controller, ticket),
        Some(Command::Add { name, address, which }) => add(name, address, which),
        Some(Command::List { json, which }) => list(*json, which),
        Some(Command::Remove { name, which }) => remove(name, which),
        Some(Command::Status { json, edge }) => status(*json, edge),
    };
    match told {
        Ok(text) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn add(name: &str, addresses: &[IpAddr], which: &Which) -> Result<String, Failure> {
    let wish = EdgeWish::Add { name: name.to_owned(), addresses: addresses.to_vec() };
    let wished: EdgeWished = client::post(&which.find()?, "/v1/edges", &wish)?;
    Ok(wished.ticket.unwrap_or_default() + "\n")
}

fn remove(name: &str, which: &Which) -> Result<String, Failure> {
    let _: EdgeWished =
        client::post(&which.find()?, "/v1/edges", &EdgeWish::Remove { name: name.to_owned() })?;
    Ok(format!("{name} is no edge any more\n"))
}

fn list(json: bool, which: &Which) -> Result<String, Failure> {
    let server = which.find()?;
    if json {
        return Ok(client::get_text(&server, "/v1/edges")? + "\n");
    }
    let edges: Edges = client::get(&server, "/v1/edges")?;
    if edges.edges.is_empty() {
        return Ok("there are no edges; zw edge add NAME --address ADDRESS\n".to_owned());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "edge",
        "addresses",
        "plan",
        "heard",
        "files",
        "release",
        "note",
    ]);
    for edge in &edges.edges {
        table.add_row(row(edge));
    }
    Ok(table.lines().map(|line| format!("{}\n", line.trim())).collect())
}

fn row(edge: &Edge) -> Vec<String> {
    let addresses: Vec<String> = edge.addresses.iter().map(ToString::to_string).collect();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    vec![
        edge.name.clone(),
        addresses.join(" "),
        or_none(edge.generation.map(|generation| format!("#{generation}"))),
        or_none(edge.heard.map(times::date_and_time)),
        or_none(edge.files()),
        or_none(edge.release.clone()),
        edge.obstacle().unwrap_or_default(),
    ]
}

fn status(json: bool, edge: &str) -> Result<String, Failure> {
    let server = Server::Address(edge.to_owned());
    if json {
        return Ok(client::get_text(&server, "/v1/edge")? + "\n");
    }
    Ok(told(&client::get(&server, "/v1/edge")?))
}

/// An edge's own words.
fn told(status: &Status) -> String {
    let mut text = String::new();
    let plan = status.generation.map_or("no plan yet".to_owned(), |generation| format!("plan #{generation}"));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}, edge of {}: {plan}, serving for {}, {} answered, {} refused",
        status.name,
        status.zone,
        times::took(status.now.0.saturating_sub(status.started.0)),
        status.answered,
        status.refused_packets,
    );
    let heard = status.contact.map_or("never".to_owned(), |at| times::ago(at, status.now));
    let _ = match &status.trouble {
        None => writeln!(text, "controller {}: followed, heard {heard}", status.controller),
        Some(why) => writeln!(text, "no controller is followed (heard {heard}): {why}"),
    };
    if !status.installs {
        let _ = writeln!(
            text,
            "nobody is installed meanwhile: machines that are armed wait, or boot what they have"
        );
    }
    let report = &status.report;
    let _ = match report.missing {
        0 => writeln!(text, "boot files: all {}", report.files),
        missing => writeln!(
            text,
            "boot files: {} of {}; {} octets to fetch: {}",
            report.files,
            report.files + missing,
            report.missing_bytes,
            status.missing.join(", ")
        ),
    };
    if !status.no_room.is_empty() {
        let _ = writeln!(
            text,
            "no room for {}: it is left to the controllers (--files-max, or the disk, a part of which is kept for the plan)",
            status.no_room.join(", ")
        );
    }
    if status.unsaid > 0 || report.dropped > 0 {
        let _ = writeln!(
            text,
            "{} events wait for a controller, {} were lost for want of room",
            status.unsaid, report.dropped
        );
    }
    text
}

fn enrol(state: &Path, controllers: &[SocketAddr], ticket: &Path) -> ExitCode {
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        match ticket.as_os_str() == "-" {
            true => std::io::stdin().take(TICKET_MAX).read_to_string(&mut text)?,
            false => std::fs::File::open(ticket)?.take(TICKET_MAX).read_to_string(&mut text)?,
        };
        Ok(text)
    };
    let ticket = match read() {
        Ok(ticket) => ticket,
        Err(error) => {
            return failed(&StartError::Authority(format!("the ticket cannot be read: {error}")));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(server::enrol(state, controllers, &ticket)) {
        Ok(name) => {
            let said =
                format!("this is the edge {name}; start it with zw edge --state {}\n", state.display());
            let _ = anstream::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn options(args: &ServeArgs) -> Result<EdgeOptions, String> {
    let mut options = EdgeOptions::new(args.state.clone());
    options.controllers.clone_from(&args.controller);
    options.address = args.address;
    options.interface.clone_from(&args.interface);
    options.boot_as_controllers = !args.ports.iter().any(|(service, _)| *service == Service::Boot);
    options.files_bytes_max = args.files_max.saturating_mul(1 << 30);
    options.accept_older = args.accept_older;
    options.api_tcp = match args.api_tcp.as_str() {
        "none" => None,
        text => Some(text.parse::<SocketAddr>().map_err(|_| format!("--api-tcp {text} is no ADDRESS:PORT"))?),
    };
    set(&mut options.ports, &args.ports);
    Ok(options)
}

fn serve(args: &ServeArgs) -> ExitCode {
    let options = match options(args) {
        Ok(options) => options,
        Err(sentence) => return failed(&StartError::Bind(sentence)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(run_edge(options))
}

async fn run_edge(options: EdgeOptions) -> ExitCode {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
        return failed(&StartError::Bind("signals cannot be waited for".to_owned()));
    };
    let running = match server::start_edge(options, Arc::new(say)).await {
        Ok(running) => running,
        Err(error) => return failed(&error),
    };
    if let Some(address) = running.api_tcp {
        say(&format!("how it is is told at http://{address}/v1/edge and /metrics"));
    }
    notify("READY=1");
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = running.ended() => Some(ended),
    };
    notify("STOPPING=1");
    let unsaid = running.stop().await;
    match ended {
        None => {
            say(&ended_with(unsaid));
            ExitCode::SUCCESS
        }
        Some(Ended::Removed(why)) => failed(&StartError::Authority(why)),
        Some(Ended::Failed(why)) => failed(&StartError::Controller(why)),
    }
}

/// What an edge says when it was ended, and so many events wait for a controller.
fn ended_with(unsaid: usize) -> String {
    let lost = match unsaid {
        0 => return "ended; everything is stored".to_owned(),
        1 => "1 event that it heard was not told to a controller and is lost".to_owned(),
        count => format!("{count} events that it heard were not told to a controller and are lost"),
    };
    format!("ended; what it answers from is stored; {lost}: who asked for an address, a script or a file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Time;

    #[test]
    fn a_controller_is_an_address_with_or_without_a_port() {
        for (text, expected) in [
            ("10.32.0.10", "10.32.0.10:8443"),
            ("10.32.0.10:9", "10.32.0.10:9"),
            ("https://10.32.0.10:8443", "10.32.0.10:8443"),
            ("2001:db8::1", "[2001:db8::1]:8443"),
            ("[2001:db8::1]", "[2001:db8::1]:8443"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(controller(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        assert!(controller("ctl1.example.net").is_err_and(|why| why.contains("is no address")));
    }

    #[test]
    fn an_edge_says_what_is_lost_with_its_end() {
        assert_eq!(ended_with(0), "ended; everything is stored");
        assert!(ended_with(1).contains("; 1 event that it heard was not told to a controller and is lost: "));
        assert!(
            ended_with(12).contains("; 12 events that it heard were not told to a controller and are lost: ")
        );
    }

    #[test]
    fn an_edge_says_what_it_lacks() {
        let mut status = Status {
            name: "p01".into(),
            zone: "lab1".into(),
            generation: Some(5),
            now: Time(100_000),
            contact: Some(Time(40_000)),
            controller: "10.0.0.1:8443".into(),
            installs: true,
            ..Status::default()
        };
        assert!(told(&status).ends_with("boot files: all 0\n"), "{}", told(&status));
        status.trouble = Some("10.0.0.1:8443: no connection in time".into());
        status.installs = false;
        (status.report.missing, status.report.missing_bytes) = (1, 7);
        status.missing = vec!["loader/x".into()];
        status.no_room = vec!["loader/x".into()];
        status.unsaid = 3;
        let text = told(&status);
        for words in [
            "plan #5",
            "heard 1 min 0 s ago",
            "nobody is installed",
            "7 octets to fetch: loader/x",
            "no room for loader/x: ",
            "3 events wait",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
