//! `zw serve`: the controller.

use crate::commands::check::failed;
use crate::findings;
use crate::times;
use clap::Args as ClapArgs;
use server::{BindPorts, Options, Running, StartError, Words};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use store::etcd::{Access, Address};
use tokio::signal::unix::{SignalKind, signal};

/// Run the controller: answer DHCP, DNS, TFTP and HTTP boot, take agents, serve the API.
///
/// The design's files are watched: a change is compiled and published; a broken design, or one that renumbers or
/// removes many machines, is not, and the last good plan stays. SIGHUP reads them at once; SIGTERM and SIGINT end it.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw serve my-zone --state /var/lib/zonewright\n  \
                        zw serve my-zone --address 10.32.0.10 --interface eth1\n\n\
                        It needs UDP 53, 67, 69, 4011 and TCP 53, 80, 443, 8443, 8481: root, or the capability CAP_NET_BIND_SERVICE.")]
pub(crate) struct Args {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    design: PathBuf,
    /// Where plans, facts, history and the certificate authority are kept.
    #[arg(long, default_value = "/var/lib/zonewright", value_name = "DIRECTORY")]
    state: PathBuf,
    /// An etcd that several controllers of the zone share, in place of the directory's database:
    /// etcd://HOST:PORT,HOST:PORT/PREFIX, or etcds://… with TLS. Secrets of BMCs are still sealed with the directory's
    /// secrets.key, which all controllers need alike.
    #[arg(long, value_name = "ETCD")]
    store: Option<String>,
    #[command(flatten)]
    access: StoreAccess,
    /// What this controller is called among those that share it [default: as --controller, or as the host].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Serve on this address only, and tell machines this one. Default: every address of this host, and those that
    /// the design gives its controllers.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// The most MiB that the state may take on the disk. Beyond it nothing is stored, and serving goes on.
    #[arg(long, value_name = "MIB")]
    state_max: Option<u64>,
    /// Which controller of the design this is.
    #[arg(long, value_name = "NAME")]
    controller: Option<String>,
    /// Hear DHCP on this network interface only.
    #[arg(long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// Where boot loaders (iPXE) lie.
    #[arg(long, default_value = "/usr/lib/ipxe", value_name = "DIRECTORY")]
    loaders: PathBuf,
    /// The agent, a static program, for systems that distributions' installers write [default: zw-agent beside this
    /// program].
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// The HTTP proxy that distributions' installers are told to fetch packages by: `proxy` in templates.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// The API's unix socket, for its owner only.
    #[arg(long, default_value = "/run/zonewright/api.sock", value_name = "PATH")]
    api_socket: PathBuf,
    /// The API on TCP, for reading only; `none` for none.
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDRESS:PORT")]
    api_tcp: String,
    /// The API also on the listening TCP socket that is standard input, for reading only; as a supervisor passes it.
    #[arg(long, hide = true)]
    api_inherited: bool,
    /// The page and the API by HTTPS, with a certificate of the zone's authority: for accounts only, see `zw account`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_tls: Option<SocketAddr>,
    /// Another port for a service: dhcp, dhcp6, proxy-dhcp, dns, tftp, boot, boot-tls or agents; 0 is any free one.
    #[arg(long = "port", value_name = "SERVICE=PORT", value_parser = port)]
    ports: Vec<(Service, u16)>,
}

/// How one is let in at an etcd.
#[derive(ClapArgs)]
pub(crate) struct StoreAccess {
    /// The certificate (PEM) of who signs etcd's.
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// This controller's certificate for etcd (PEM), without a common name: etcd's gateway refuses one.
    #[arg(long, value_name = "FILE", requires = "store_key")]
    store_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "store_certificate")]
    store_key: Option<PathBuf>,
    /// A file of one line, USER:PASSWORD, for etcd.
    #[arg(long, value_name = "FILE")]
    store_credentials: Option<PathBuf>,
}

impl StoreAccess {
    pub(crate) fn access(&self) -> Access {
        Access {
            ca: self.store_ca.clone(),
            certificate: self.store_certificate.clone().zip(self.store_key.clone()),
            credentials: self.store_credentials.clone(),
        }
    }
}

/// What has a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    Dhcp,
    Dhcp6,
    ProxyDhcp,
    Dns,
    Tftp,
    Boot,
    BootTls,
    Agents,
    Fleetlock,
}

pub(crate) fn port(text: &str) -> Result<(Service, u16), String> {
    let (service, port) = text.split_once('=').ok_or("write SERVICE=PORT")?;
    let service = match service {
        "dhcp" => Service::Dhcp,
        "dhcp6" => Service::Dhcp6,
        "proxy-dhcp" => Service::ProxyDhcp,
        "dns" => Service::Dns,
        "tftp" => Service::Tftp,
        "boot" => Service::Boot,
        "boot-tls" => Service::BootTls,
        "agents" => Service::Agents,
        "fleetlock" => Service::Fleetlock,
        other => {
            return Err(format!(
                "there is no service {other}: dhcp, dhcp6, proxy-dhcp, dns, tftp, boot, boot-tls, agents, fleetlock"
            ));
        }
    };
    let port = port.parse().map_err(|_| format!("{port} is no port: 0 to 65535"))?;
    Ok((service, port))
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let options = match options(args) {
        Ok(options) => options,
        Err(sentence) => return failed(&StartError::Bind(sentence)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(serve(args, options))
}

fn options(args: &Args) -> Result<Options, String> {
    let mut options = Options::new(args.design.clone(), args.state.clone());
    let store = args.store.as_deref().map(Address::parse).transpose()?;
    options.store = store.map(|address| (address, args.access.access()));
    options.name.clone_from(&args.name);
    options.address = args.address;
    options.controller.clone_from(&args.controller);
    options.interface.clone_from(&args.interface);
    options.state_bytes_max = args.state_max.map(|mib| mib.saturating_mul(1 << 20));
    options.loaders.clone_from(&args.loaders);
    // Without one it serves; what lacks it is said where a design needs it.
    options.agent = super::image::agent(args.agent.as_deref()).ok();
    options.proxy.clone_from(&args.proxy);
    options.api_socket = Some(args.api_socket.clone());
    options.api_tcp = match args.api_tcp.as_str() {
        "none" => None,
        text => Some(text.parse::<SocketAddr>().map_err(|_| format!("--api-tcp {text} is no ADDRESS:PORT"))?),
    };
    options.api_inherited = args.api_inherited;
    options.page_tls = args.page_tls;
    set(&mut options.ports, &args.ports);
    Ok(options)
}

/// Takes other ports for some services.
pub(crate) fn set(ports: &mut BindPorts, given: &[(Service, u16)]) {
    let BindPorts { dhcp, dhcp6, proxy_dhcp, dns, tftp, boot, boot_tls, agents, fleetlock } = ports;
    for (service, port) in given {
        *match service {
            Service::Dhcp => &mut *dhcp,
            Service::Dhcp6 => &mut *dhcp6,
            Service::ProxyDhcp => &mut *proxy_dhcp,
            Service::Dns => &mut *dns,
            Service::Tftp => &mut *tftp,
            Service::Boot => &mut *boot,
            Service::BootTls => &mut *boot_tls,
            Service::Agents => &mut *agents,
            Service::Fleetlock => &mut *fleetlock,
        } = *port;
    }
}

async fn serve(args: &Args, options: Options) -> ExitCode {
    // Before anything is open, so that an early signal ends it as a later one does.
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
        return failed(&StartError::Bind("signals cannot be waited for".to_owned()));
    };
    // It may wait for an etcd, on a thread of its own.
    let starting = tokio::spawn(server::start(options, Arc::new(say)));
    let started = tokio::select! {
        started = starting => started.unwrap_or_else(|bug| std::panic::resume_unwind(bug.into_panic())),
        _ = terminate.recv() => not_started(),
        _ = interrupt.recv() => not_started(),
    };
    let running = match started {
        Ok(running) => running,
        Err(StartError::Findings { findings, files }) => {
            let text = findings::rendered(&args.design, &files, &findings);
            // Nothing more can be done when standard error is closed too.
            let _ = anstream::stderr().write_all(text.as_bytes());
            return ExitCode::from(1);
        }
        Err(error) => return failed(&error),
    };
    announce(&running);
    notify("READY=1");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if running.reload(Words::default()).await.is_none() {
                    say("the design was read again and is in force");
                }
            }
        }
    }
    notify("STOPPING=1");
    running.stop().await;
    say("ended; everything is stored");
    ExitCode::SUCCESS
}

/// Ends a process that serves nothing and has nothing to store. What starts may wait, and nobody waits for that.
fn not_started() -> ! {
    say("ended before anything was served");
    std::process::exit(0)
}

fn announce(running: &Running) {
    let BindPorts { dhcp, dhcp6, proxy_dhcp, dns, tftp, boot, boot_tls, agents, fleetlock } = running.ports;
    say(&format!(
        "plan {} is served: DHCP {dhcp} and {proxy_dhcp}, DHCPv6 {dhcp6}, DNS {dns}, TFTP {tftp}, HTTP boot {boot}, HTTPS boot {boot_tls}, agents {agents}, FleetLock {fleetlock}",
        running.generation
    ));
    if let Some(socket) = &running.api_socket {
        say(&format!("the API is at {}", socket.display()));
    }
    if let Some(address) = running.api_tcp {
        say(&format!("the page is at http://{address}/, the API for reading at http://{address}/v1/status"));
    }
    if let Some(address) = running.page_tls {
        say(&format!("the page by HTTPS, for accounts, is at https://{address}/"));
    }
}

/// A line for the operator's log.
pub(crate) fn say(line: &str) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = model::Time(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    // Nobody reads the log: that is no reason to stop serving.
    let _ = writeln!(anstream::stderr(), "{} {line}", times::date_and_time(now));
}

/// Tells systemd how it is (sd_notify(3)), if it asked to be told.
pub(crate) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddress::from_abstract_name(name),
        None => UnixAddress::from_pathname(&path),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        // Without it the unit is started after its time-out; there is nobody else to tell.
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_by_its_service() {
        assert_eq!(port("proxy-dhcp=0"), Ok((Service::ProxyDhcp, 0)));
        assert_eq!(port("dns"), Err("write SERVICE=PORT".to_owned()));
        assert_eq!(port("dns=65536"), Err("65536 is no port: 0 to 65535".to_owned()));
        assert!(
            port("ftp=21").is_err_and(
                |said| said.contains("dhcp, dhcp6, proxy-dhcp, dns, tftp, boot, boot-tls, agents")
            )
        );
    }
}
