//! A machine's role changes in a zone of ten thousand: from the saved file to the first answers that show it.

use crate::arena::{Cores, Place};
use crate::dhcp::{Judgement, Load, Speech, Spoken as _, option, ours};
use crate::page::{spread, table};
use crate::settings::Settings;
use crate::zone::{Zone, ten_thousand};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// The machine, and its two names.
const LOCATION: &str = "p07/r2/u14";
const NAMES: [&str; 2] = ["hv-p07-r2-u14", "st-p07-r2-u14"];
/// What is added to the design: a role that boots an image without being armed for it, and the machine that gets it.
const CHANGE: &str = r#"
image "live" {
  kernel = "images/kvm/vmlinuz"
  initrd = "images/kvm/initrd.img"
}

role "storage" {
  boot = image.live
}

at "p07/r2/u14" {
  role = "storage"
  name = "st-{pod}-{rack}-{unit}"
}
"#;
/// How long a change may take until the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one question may.
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// Who asks, and what.
struct Asker {
    dhcp: UdpSocket,
    discover: Vec<u8>,
    dns: UdpSocket,
    domain: String,
    machine: Ipv4Addr,
    server: Ipv4Addr,
}

/// Whether an answer shows the machine under this name.
type Shows = fn(&Asker, &str) -> bool;

/// The section.
pub(crate) fn section(settings: &Settings) -> Result<String, String> {
    let cores = Cores::take()?;
    let design = ten_thousand(&settings.scratch)?;
    let file = format!("{design}/zone.hcl");
    let failed = |error: std::io::Error| format!("failed to change {file}: {error}");
    let drawn = fs::read_to_string(&file).map_err(failed)?;
    let changed = format!("{drawn}{CHANGE}");
    let zone = Zone::read(&design)?;
    let port = zone.ports.iter().position(|port| port.location.ends_with(LOCATION));
    let port = port.ok_or(format!("the design has no {LOCATION} any more"))?;
    let place = Place::new(1, "zonewright")?;
    let to = SocketAddr::from((place.address, 67));
    let mut speech = Speech::new(&zone, Judgement::Planned);
    let mut server = ours(&place, cores, &design, "state")?;
    {
        let mut load = Load::open((Ipv4Addr::UNSPECIFIED, 67).into())?;
        server.await_answer(|| load.one(&mut speech, to))?;
    }
    let bind = |address: SocketAddr| {
        let socket = UdpSocket::bind(address).and_then(|socket| {
            socket.set_read_timeout(Some(ANSWER_MAX))?;
            Ok(socket)
        });
        socket.map_err(|error| format!("failed to listen on {address}: {error}"))
    };
    let asker = Asker {
        dhcp: bind((Ipv4Addr::UNSPECIFIED, 67).into())?,
        discover: speech.ask(port, 1).to_vec(),
        dns: bind((place.generator, 0).into())?,
        domain: zone.domain.clone(),
        machine: zone.ports[port].address4,
        server: place.address,
    };
    let mut figures: [Vec<f64>; 3] = Default::default();
    let questions: [(&str, Shows); 3] = [
        ("DHCP (host name)", Asker::by_dhcp),
        ("DNS (name)", Asker::by_dns),
        ("HTTP boot (script)", Asker::by_http),
    ];
    for round in 0..settings.rounds(5) * 2 {
        let wanted = NAMES[(round + 1) % 2];
        let saved = format!("{file}.saved");
        fs::write(&saved, if round % 2 == 0 { &changed } else { &drawn }).map_err(failed)?;
        fs::rename(&saved, &file).map_err(failed)?;
        let began = Instant::now();
        let mut seen = [None; 3];
        while seen.iter().any(Option::is_none) {
            for ((_, shows), seen) in questions.iter().zip(&mut seen) {
                if seen.is_none() && shows(&asker, wanted) {
                    *seen = Some(began.elapsed());
                }
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the change is not seen: {seen:?}\n{}", server.last_words()));
            }
        }
        for (figures, seen) in figures.iter_mut().zip(seen) {
            figures.extend(seen.map(|seen| seen.as_secs_f64() * 1e3));
        }
    }
    let mut rows = vec![["answer", "ms from the saved file"].map(str::to_owned).to_vec()];
    for ((name, _), figures) in questions.iter().zip(figures) {
        rows.push(vec![(*name).to_owned(), spread(figures, 0)]);
    }
    Ok(format!(
        "## A change seen\n\nOne machine of 10,080 gets another role and name, and back: from `rename(2)` of the saved `zone.hcl` to the first\n\
         answer that shows it.\n\n{}",
        table(&rows)
    ))
}

impl Asker {
    /// The host name in the OFFER (option 12).
    fn by_dhcp(&self, wanted: &str) -> bool {
        let mut answer = [0; 1500];
        let told =
            self.dhcp.send_to(&self.discover, (self.server, 67)).and_then(|_| self.dhcp.recv(&mut answer));
        told.is_ok_and(|length| {
            option(&answer[..length], 12)
                .is_some_and(|name| name.split(|octet| *octet == b'.').next() == Some(wanted.as_bytes()))
        })
    }

    /// Whether the name exists.
    fn by_dns(&self, wanted: &str) -> bool {
        let mut question = vec![0x5a, 0x77, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in [wanted].into_iter().chain(self.domain.split('.')) {
            question.push(u8::try_from(label.len()).unwrap_or(0));
            question.extend_from_slice(label.as_bytes());
        }
        // The root, type A, class IN.
        question.extend([0, 0, 1, 0, 1]);
        let mut answer = [0; 1500];
        let told = self.dns.send_to(&question, (self.server, 53)).and_then(|_| self.dns.recv(&mut answer));
        // No error, and an answer.
        told.is_ok_and(|length| length > 12 && answer[3] & 15 == 0 && answer[7] > 0)
    }

    /// Whether the machine's script is for the role with that name.
    fn by_http(&self, wanted: &str) -> bool {
        let has_image = wanted == NAMES[1];
        self.script().is_ok_and(|text| text.contains("200 OK") && text.contains("/image/live/") == has_image)
    }

    fn script(&self) -> std::io::Result<String> {
        // From the machine's own address, by which it is known.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((self.machine, 0)).into())?;
        socket.connect_timeout(&SocketAddr::from((self.server, 80)).into(), ANSWER_MAX)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(
            format!("GET /boot/auto.ipxe HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.server)
                .as_bytes(),
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}
