//! An edge beside a served zone: it follows, and answers other people's clients while the controller is gone, for as long as it takes.
//!
//! It stands at the leaf, on a cable of its own; the leaf's relay names both servers.

use crate::network::{Network, Running, copy_folder, have, until};
use crate::served::{DESIGN, LOADERS, STATE, ZW, Zone, noise};
use crate::zw;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

const PLACE: &str = "edge";
const ADDRESS: &str = "10.99.0.2";
const EDGE_STATE: &str = "/run/edge";
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
case $1 in
  deconfig) ip -4 address flush dev "$interface" ;;
  bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    ip route replace default via "$router" ;;
esac
"#;

/// A zone and its edge. The edge ends before the network does.
struct Edged {
    edge: Option<Running>,
    zone: Zone,
}

impl Edged {
    /// A served zone with an edge that is enrolled and not started.
    fn enrolled(programs: &[&str], change: impl FnOnce(&Zone)) -> Option<Self> {
        if !have(&[programs, &["curl"]].concat()) {
            return None;
        }
        let mut zone = Zone::drawn()?;
        change(&zone);
        zone.serve();
        let leaf = zone.facts.leaf.clone();
        zone.network.add_place(PLACE);
        zone.network.add_cable(("leaf", "edgelink"), (PLACE, "eth0"));
        zone.network.sh(Some("leaf"), &format!("ip route add {ADDRESS} dev edgelink src {leaf}"));
        zone.network.sh(
            Some(PLACE),
            &format!(
                "ip address add {ADDRESS}/32 dev eth0
                 ip route add {leaf} dev eth0
                 ip route add default via {leaf}"
            ),
        );
        zone.network.sh(Some("leaf"), &format!("ip address add {leaf}/32 dev edgelink"));
        zone.network.write("/run/udhcpc.sh", UDHCPC_SCRIPT);
        zone.network.sh(None, "chmod +x /run/udhcpc.sh; mkdir -p /run/got");
        let ticket = zone.zw(&["edge", "add", "p01", "--address", ADDRESS]).fine();
        zone.network.write("/run/ticket", ticket);
        let edged = Self { edge: None, zone };
        edged.enrol().fine();
        Some(edged)
    }

    fn enrol(&self) -> crate::network::Ended {
        let controller = self.zone.facts.controller.clone();
        let words =
            ["edge", "enrol", "--state", EDGE_STATE, "--controller", &controller, "--ticket", "/run/ticket"];
        self.zone.network.run(Some(PLACE), &[&[ZW], &words[..]].concat())
    }

    /// The same, started, and with all files.
    fn whole(programs: &[&str]) -> Option<Self> {
        let mut edged = Self::enrolled(programs, |_| {})?;
        edged.start(&[]);
        edged.await_status("all files", |status| {
            // One more where the static agent was built.
            let files = status["report"]["files"].as_u64();
            status["trouble"].is_null() && status["report"]["missing"] == 0 && files >= Some(5)
        });
        Some(edged)
    }

    fn start(&mut self, more: &[&str]) {
        let words = [&[ZW, "edge", "--state", EDGE_STATE], more].concat();
        let mut edge = self.zone.network.start(PLACE, &words);
        edge.wait_for("how it is is told at");
        self.edge = Some(edge);
    }

    fn kill(&mut self) {
        let mut edge = self.edge.take().expect("it runs");
        edge.signal("KILL");
        edge.wait();
    }

    /// As a power cut, and with the power back.
    fn restart(&mut self, more: &[&str]) {
        self.kill();
        self.start(more);
    }

    /// Where it keeps a file of the image.
    fn kept(&self, name: &str) -> String {
        let digest = self.zone.network.sh(None, &format!("sha256sum <{DESIGN}/images/{name}"));
        format!("{EDGE_STATE}/files/{}", digest.split(' ').next().unwrap_or_default())
    }

    fn log(&self) -> String {
        self.edge.as_ref().map(Running::said).unwrap_or_default()
    }

    fn status(&self) -> Value {
        let words = [ZW, "edge", "status", "--json"];
        serde_json::from_str(&self.zone.network.run(Some(PLACE), &words).fine()).expect("JSON")
    }

    fn await_status(&self, awaited: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{awaited} of the edge, beside {}\n{}", self.status(), self.log()), || {
            Some(self.status()).filter(&is)
        })
    }

    /// The edge, as the controller knows it.
    fn listed(&self) -> Value {
        self.zone.get("/v1/edges")["edges"][0].clone()
    }

    /// A machine's firmware gets its address; from the edge, if nobody else is there.
    fn lease(&self, place: &str) {
        let network = &self.zone.network;
        let address = self.zone.facts.address_of(place);
        network.sh(Some(place), "ip -4 address flush dev eth0");
        let client = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "8", "-T", "1", "-s", "/run/udhcpc.sh"];
        let firmware = ["-V", "PXEClient:Arch:00007:UNDI:003016"];
        let told = network.run(Some(place), &[&client[..], &firmware].concat());
        let said = format!("{}{}", told.out, told.err);
        let from = if self.zone.server.is_none() { ADDRESS } else { "" };
        assert!(said.contains(&format!("lease of {address} obtained from {from}")), "{said}\n{}", self.log());
        self.zone.assert_address(place, &address);
    }

    /// Its boot script.
    fn script(&self, place: &str) -> String {
        let url = format!("http://{ADDRESS}/boot/auto.ipxe");
        let words = ["curl", "--silent", "--fail", "--max-time", "20", &url];
        self.zone.network.run(Some(place), &words).fine()
    }

    /// A machine boots: DHCP as firmware, a loader by TFTP, what its script names by HTTP, a name by DNS. Gives the script.
    fn boot(&self, place: &str) -> String {
        self.lease(place);
        let (network, address) = (&self.zone.network, self.zone.facts.address_of(place));
        for (url, source) in [
            (format!("tftp://{ADDRESS}/snponly.efi"), format!("{LOADERS}/snponly.efi")),
            (format!("http://{ADDRESS}/loader/ipxe.efi"), format!("{LOADERS}/ipxe.efi")),
            (format!("http://{ADDRESS}/image/kvm/images/vmlinuz"), format!("{DESIGN}/images/vmlinuz")),
            (format!("http://{ADDRESS}/image/kvm/images/initrd.img"), format!("{DESIGN}/images/initrd.img")),
        ] {
            self.fetch(place, &url).fine();
            let digests = network.sh(None, &format!("sha256sum </run/got/file && sha256sum <{source}"));
            let mut digests = digests.lines();
            assert_eq!(digests.next(), digests.next(), "{url}");
        }
        let name = format!("hv-{place}.judged.example.net");
        let words = ["dig", &format!("@{ADDRESS}"), "+short", "+tries=3", "+time=2", &name];
        assert_eq!(network.run(Some(place), &words).fine().trim(), address);
        self.script(place)
    }

    fn fetch(&self, place: &str, url: &str) -> crate::network::Ended {
        let words = [
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "60",
            "--output",
            "/run/got/file",
            url,
        ];
        self.zone.network.run(Some(place), &words)
    }

    fn edit(&self, from: &str, to: &str) {
        let path = format!("{DESIGN}/zone.hcl");
        let text = self.zone.network.text(&path);
        assert!(text.contains(from), "the design has no {from:?}");
        self.zone.network.write(&path, text.replace(from, to));
    }
}

#[test]
fn an_edge_answers_with_the_controller_gone_and_catches_up() {
    let Some(mut edged) = Edged::whole(&["dhcrelay", "udhcpc", "dig"]) else { return };
    for machine in ["u01", "u02"] {
        edged.zone.plug_machine(machine);
    }
    edged.zone.relay(&["-iu", "edgelink", ADDRESS]);
    assert_eq!(
        (edged.listed()["generation"].clone(), edged.listed()["enrolled"].clone()),
        (1.into(), true.into())
    );
    edged.zone.network.sh(None, &format!("cp -a {STATE} /run/backup && cp -a {DESIGN} /run/backup-design"));

    edged.zone.kill();
    let script = edged.boot("u01");
    let controller = edged.zone.facts.controller.clone();
    assert!(script.contains(&format!("kernel http://{ADDRESS}/image/kvm/images/vmlinuz ")), "{script}");
    assert!(script.contains(&format!("kernel http://{controller}/image/kvm/")), "the next to try: {script}");
    assert!(script.contains(&format!("zw.controller=https://{controller}:8443 ")), "{script}");
    assert!(!script.contains(&format!("https://{ADDRESS}")), "an edge is no controller: {script}");

    // The power of the edge fails too. With the controller gone it starts, and says the same.
    edged.restart(&[]);
    assert_eq!(edged.boot("u01"), script);
    let status = edged.status();
    assert_eq!((&status["generation"], &status["report"]["missing"]), (&1.into(), &0.into()), "{status}");
    assert!(status["trouble"].is_string() && status["contact"].is_number(), "{status}");

    // What lies on its disk is damaged meanwhile: that is not served.
    edged.kill();
    let file = edged.kept("initrd.img");
    edged.zone.network.sh(None, &format!("printf x | dd of={file} bs=1 seek=4711 conv=notrunc status=none"));
    edged.start(&[]);
    let url = format!("http://{ADDRESS}/image/kvm/images/initrd.img");
    let told = edged.fetch("u01", &url);
    assert!(!told.is_fine() && told.err.contains("404"), "{told}");
    edged.fetch("u01", &format!("http://{ADDRESS}/image/kvm/images/vmlinuz")).fine();
    assert!(edged.log().contains("is not what it was, and is not served"), "{}", edged.log());
    assert_eq!(edged.status()["missing"], serde_json::json!(["image/kvm/images/initrd.img"]));

    edged.lease("u01");
    assert_eq!(edged.script("u01"), script);

    // The controller comes back, with another plan.
    edged.edit("console=ttyS0,115200", "console=ttyS0,9600");
    edged.zone.serve();
    edged.await_status("plan 2 and all files", |status| {
        status["generation"] == 2 && status["trouble"].is_null() && status["report"]["missing"] == 0
    });
    assert!(edged.boot("u02").contains("console=ttyS0,9600"));
    // What only the edge heard is known, and when it was.
    let heard = until("what the edge heard while nobody else did", || {
        let machine = edged.zone.get("/v1/machines/p01/r1/u01");
        Some(machine.clone()).filter(|machine| machine["state"] == "booting")
    });
    assert!(heard["timeline"].to_string().contains("fetched"), "{heard}");
    assert_eq!(edged.status()["report"]["dropped"], 0);

    // It is put back from an old copy: that is refused, also by an edge that starts anew, until somebody says otherwise.
    edged.zone.kill();
    edged.zone.network.sh(
        None,
        &format!("rm -r {STATE} {DESIGN}; cp -a /run/backup {STATE}; cp -a /run/backup-design {DESIGN}"),
    );
    edged.zone.serve();
    let refused = |status: &Value| {
        let why = status["report"]["refused"].as_str().unwrap_or_default();
        why.contains("it has plan #1, and this edge plan #2")
            && why.contains("--accept-older")
            && status["generation"] == 2
    };
    edged.await_status("a refusal", refused);
    edged.restart(&[]);
    edged.await_status("the same refusal", refused);
    let why = until("the controller to hear of it", || {
        edged.listed()["report"]["refused"].as_str().map(str::to_owned)
    });
    assert!(
        edged.zone.get("/v1/findings").to_string().contains("the edge p01 stays with what it has"),
        "{why}"
    );
    assert!(edged.boot("u01").contains("console=ttyS0,9600"), "it goes on with what it has");
    edged.restart(&["--accept-older"]);
    edged.await_status("plan 1", |status| status["generation"] == 1 && status["trouble"].is_null());
    assert!(edged.boot("u01").contains("console=ttyS0,115200"));

    // It is none any more.
    edged.zone.zw(&["edge", "remove", "p01"]).fine();
    let edge = edged.edge.as_mut().expect("it runs");
    assert_eq!(edge.wait(), 3, "{}", edge.said());
    assert!(edge.said().contains("the edge p01 was removed from the zone"), "{}", edge.said());
    let again = edged.zone.network.run(Some(PLACE), &[ZW, "edge", "--state", EDGE_STATE]);
    assert!(again.status == 3 && again.err.contains("was removed"), "{again}");
    let again = edged.enrol();
    assert!(!again.is_fine() && again.err.contains("this ticket is not good"), "{again}");
}

#[test]
fn a_file_that_was_cut_off_is_gone_on_with() {
    let length = 24_000_000;
    let big = format!("{DESIGN}/images/initrd.img");
    let drawn = |zone: &Zone| zone.network.write(&big, noise(7, length));
    let Some(mut edged) = Edged::enrolled(&["tc"], drawn) else { return };
    // So slowly that it can be cut off.
    edged
        .zone
        .network
        .sh(Some("server"), "tc qdisc add dev eth0 root tbf rate 40mbit burst 64kb latency 50ms");
    edged.start(&[]);
    let part = "ls -l /run/edge/files/*.part 2>/dev/null | awk '{ print $5 }' | sort -n | tail -1";
    let there = until("a third of it", || {
        let octets: usize = edged.zone.network.sh(None, part).trim().parse().ok()?;
        Some(octets).filter(|octets| (length / 3..length - 1_000_000).contains(octets))
    });
    edged.zone.network.sh(Some("server"), "ip link set eth0 down");
    edged.restart(&[]);
    // It answers from what it has, and tells what it lacks: that is fetched from the controllers.
    let status = edged.status();
    assert!(status["missing"].to_string().contains("initrd.img"), "{status}");
    let Zone { facts, network, .. } = &edged.zone;
    network.sh(
        Some("server"),
        &format!(
            "tc qdisc del dev eth0 root
             ip link set eth0 up
             ip route replace {leaf} dev eth0
             ip route replace default via {leaf}",
            leaf = facts.leaf
        ),
    );
    edged.await_status("all files", |status| status["report"]["missing"] == 0);
    let fetched = edged.fetch(PLACE, &format!("http://{ADDRESS}/image/kvm/images/initrd.img"));
    fetched.fine();
    edged.zone.network.sh(None, &format!("cmp /run/got/file {big}"));
    // Begun anew, it would have been so much more.
    let metrics = edged.zone.metrics();
    let sent = metrics
        .lines()
        .find_map(|line| line.strip_prefix("zonewright_answer_bytes_total{protocol=\"http\"} "));
    let sent: usize = sent.and_then(|octets| octets.parse().ok()).expect("a count");
    let all = edged.zone.network.sh(None, "cat /run/edge/files/* | wc -c");
    let all: usize = all.trim().parse().expect("a count");
    assert!(all >= length, "{all}");
    assert!(sent < all + there / 2, "{sent} octets were sent for {all}, {there} of which were there");
}

#[test]
fn what_is_damaged_or_gone_while_it_runs_is_not_offered_and_is_fetched_anew() {
    let Some(mut edged) = Edged::whole(&[]) else { return };
    edged.zone.kill();
    let [kernel, initrd] = ["vmlinuz", "initrd.img"].map(|name| edged.kept(name));
    edged
        .zone
        .network
        .sh(None, &format!("rm {kernel}; printf x | dd of={initrd} bs=1 seek=4711 conv=notrunc status=none"));
    // Whoever asks first waits a moment; then a script leads to the controllers.
    for name in ["vmlinuz", "initrd.img"] {
        let url = format!("http://{ADDRESS}/image/kvm/images/{name}");
        until(&format!("{name} to be left to the controllers\n{}", edged.log()), || {
            let told = edged.fetch(PLACE, &url);
            assert!(!told.is_fine(), "{name} is not what it was");
            told.err.contains("404").then_some(())
        });
    }
    let missing = serde_json::json!(["image/kvm/images/initrd.img", "image/kvm/images/vmlinuz"]);
    edged.await_status("both files missing", |status| status["missing"] == missing);
    edged.edge.as_mut().expect("it runs").wait_for("initrd.img on this edge's disk is not what it was");
    let said = "vmlinuz on this edge's disk is gone or was written to, and is not served";
    assert!(edged.log().contains(said), "{}", edged.log());
    edged.zone.serve();
    edged.await_status("all files", |status| status["trouble"].is_null() && status["report"]["missing"] == 0);
    for name in ["vmlinuz", "initrd.img"] {
        edged.fetch(PLACE, &format!("http://{ADDRESS}/image/kvm/images/{name}")).fine();
        edged.zone.network.sh(None, &format!("cmp /run/got/file {DESIGN}/images/{name}"));
    }
}

#[test]
fn files_leave_room_for_the_plan() {
    let small = |zone: &Zone| {
        zone.network
            .sh(None, &format!("mkdir {EDGE_STATE} && mount -t tmpfs -o size=64m tmpfs {EDGE_STATE}"));
    };
    let Some(mut edged) = Edged::enrolled(&["tc"], small) else { return };
    edged.start(&[]);
    let is_whole = |status: &Value| status["trouble"].is_null() && status["report"]["missing"] == 0;
    edged.await_status("all files", |status| status["generation"] == 1 && is_whole(status));
    let image = format!("{DESIGN}/images/initrd.img");
    let left_out = |status: &Value| {
        status["no_room"] == serde_json::json!(["image/kvm/images/initrd.img"])
            && status["report"]["no_room"] == 1
            && status["report"]["missing"] == 1
    };
    let next = |edged: &Edged, from: u32, to: u32| {
        edged.edit(&format!("console=ttyS0,{from}"), &format!("console=ttyS0,{to}"));
    };
    let follows = |edged: &Edged, plan: u64| {
        edged.await_status("the next plan", |status| {
            status["generation"] == plan && status["trouble"].is_null()
        });
    };

    // It grows to what would leave next to nothing for the plan, whether there is an agent of 11 MB to be served or none.
    edged.zone.network.write(&image, noise(8, 48_000_000));
    edged.await_status("the image to be left to the controllers", left_out);
    next(&edged, 115_200, 9600);
    follows(&edged, 2);
    edged.await_status("the image to be still left to them", left_out);
    let told = edged.zone.network.run(Some(PLACE), &[ZW, "edge", "status"]).fine();
    assert!(told.contains("no room for image/kvm/images/initrd.img"), "{told}");
    assert!(edged.log().contains("initrd.img is not fetched: there is no room for it"), "{}", edged.log());
    until("the controller to hear of it", || {
        Some(edged.listed()).filter(|edge| edge["report"]["no_room"] == 1)
    });

    // There would be room, but somebody else takes it meanwhile.
    edged
        .zone
        .network
        .sh(Some("server"), "tc qdisc add dev eth0 root tbf rate 40mbit burst 64kb latency 50ms");
    edged.zone.network.write(&image, noise(9, 20_000_000));
    let part = "ls -l /run/edge/files/*.part 2>/dev/null | awk '{ print $5 }' | sort -n | tail -1";
    until("a part of it", || {
        let octets: usize = edged.zone.network.sh(None, part).trim().parse().ok()?;
        (octets > 2_000_000).then_some(())
    });
    edged.zone.network.sh(None, &format!("head -c 32000000 /dev/zero >{EDGE_STATE}/other"));
    edged.await_status("the image to be left to the controllers again", left_out);
    until(&format!("what came of it to be in nobody's way\n{}", edged.log()), || {
        edged.zone.network.sh(None, part).trim().is_empty().then_some(())
    });
    next(&edged, 9600, 19_200);
    follows(&edged, 3);
    // And gives it back.
    edged.zone.network.sh(None, &format!("rm {EDGE_STATE}/other"));
    edged.zone.network.sh(Some("server"), "tc qdisc del dev eth0 root");
    next(&edged, 19_200, 38_400);
    edged.await_status("all files", |status| status["generation"] == 4 && is_whole(status));
}

#[test]
fn what_an_edge_loses_it_says_with_what_to_do() {
    let Some(mut edged) = Edged::whole(&["sqlite3"]) else { return };
    let end = |edged: &mut Edged| {
        let mut edge = edged.edge.take().expect("it runs");
        edge.signal("TERM");
        assert_eq!(edge.wait(), 0, "{}", edge.said());
        edge.said()
    };
    let said = end(&mut edged);
    assert!(said.contains("ended; everything is stored"), "{said}");
    edged.start(&[]);
    let address = edged.zone.plug_machine("u01");
    edged.zone.settle("u01", &address);
    edged.zone.kill();
    edged.script("u01");
    edged.await_status("something that no controller knows", |status| status["unsaid"] == 1);
    let said = end(&mut edged);
    assert!(said.contains("1 event that it heard was not told to a controller and is lost"), "{said}");

    // Its plan is gone: it says what to do, and that helps.
    edged.zone.serve();
    edged.zone.network.sh(None, &format!("sqlite3 {EDGE_STATE}/zonewright.db 'delete from plans'"));
    let told = edged.zone.network.run(Some(PLACE), &[ZW, "edge", "--state", EDGE_STATE]);
    assert!(
        told.status == 3 && told.err.contains("the plan that the edge had is not in its state"),
        "{told}"
    );
    for words in ["zonewright.db", "`zw edge add", "`zw edge enrol`"] {
        assert!(told.err.contains(words), "{words}: {told}");
    }
    edged.zone.network.sh(None, &format!("mkdir /run/away; mv {EDGE_STATE}/zonewright.db* /run/away"));
    let ticket = edged.zone.zw(&["edge", "add", "p01", "--address", ADDRESS]).fine();
    edged.zone.network.write("/run/ticket", ticket);
    edged.enrol().fine();
    edged.start(&[]);
    edged.await_status("all files", |status| status["trouble"].is_null() && status["report"]["missing"] == 0);
}

#[test]
fn without_anything_and_without_a_controller_it_says_so() {
    let Some(network) = crate::network::Network::new() else { return };
    network.add_place(PLACE);
    let told = network.run(Some(PLACE), &[ZW, "edge", "--state", "/run/nothing"]);
    assert!(
        told.status == 3 && told.err.contains("holds no edge: nothing can be answered from it"),
        "{told}"
    );
    network.write("/run/ticket", format!("zw-edge1.p01.{}.{}\n", "ab".repeat(32), "cd".repeat(32)));
    let words =
        ["edge", "enrol", "--state", "/run/nothing", "--controller", "127.0.0.1", "--ticket", "/run/ticket"];
    let told = network.run(Some(PLACE), &[&[ZW], &words[..]].concat());
    assert!(told.status == 3 && told.err.contains("failed to enrol: 127.0.0.1:8443: "), "{told}");
}

/// One wish of a machine, by the controller's socket.
fn wish(network: &Network, location: &str, body: &str) {
    let mut stream = UnixStream::connect(network.outside("/run/zonewright/api.sock")).expect("a controller");
    let (path, length) = (location.replace('/', "%2F"), body.len());
    write!(
        stream,
        "POST /v1/machines/{path}/wish HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// For people to read: `ZW_MEASURE=1 cargo test --release -p zw --test whole how_long -- --nocapture`.
#[test]
#[expect(clippy::print_stdout, reason = "figures for people, who ask for them")]
fn how_long_it_takes_with_ten_thousand_machines() {
    const WISHES: usize = 1000;
    if std::env::var_os("ZW_MEASURE").is_none() || !have(&["dig", "sqlite3"]) {
        return;
    }
    let Some(network) = Network::new() else { return };
    copy_folder(&zw::root().join("tests/cases/ten-thousand/ten-thousand"), &network.outside(DESIGN));
    network.write(&format!("{LOADERS}/ipxe.efi"), noise(1, 1000));
    network.add_place("server");
    network.add_place(PLACE);
    network.add_cable(("server", "eth0"), (PLACE, "eth0"));
    network.sh(Some("server"), "ip address add 10.9.0.1/24 dev eth0");
    network.sh(Some(PLACE), "ip address add 10.9.0.2/24 dev eth0");
    let words = [ZW, "serve", DESIGN, "--state", STATE, "--loaders", LOADERS, "--address", "10.9.0.1"];
    let mut server = network.start("server", &words);
    server.wait_for("the API is at");
    let ticket = network.run(Some("server"), &[ZW, "edge", "add", "p01", "--address", "10.9.0.2"]).fine();
    network.write("/run/ticket", ticket);
    let words =
        ["edge", "enrol", "--state", EDGE_STATE, "--controller", "10.9.0.1", "--ticket", "/run/ticket"];
    network.run(Some(PLACE), &[&[ZW], &words[..]].concat()).fine();
    let start = || (Instant::now(), network.start(PLACE, &[ZW, "edge", "--state", EDGE_STATE]));

    let (began, mut edge) = start();
    edge.wait_for("is served:");
    println!("with nothing, from its start until it answers: {:?}", began.elapsed());
    let plan = network.run(None, &[ZW, "plan", DESIGN, "--json"]).fine();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let rows = plan["machines"].as_array().into_iter().flatten();
    let rows: Vec<&Value> = rows.filter(|row| row["kind"] == "machine").collect();
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let places: Vec<String> = rows.iter().take(WISHES).map(|row| text(row, "location")).collect();
    let kept = || {
        let database = format!("{EDGE_STATE}/zonewright.db");
        let words = ["sqlite3", "-readonly", &database, "select count(*) from machines"];
        network.run(None, &words).out.trim().parse::<usize>().unwrap_or_default()
    };
    let began = Instant::now();
    places.iter().for_each(|place| wish(&network, place, r#"{"wish":"maintain","reason":"measured"}"#));
    let asked = began.elapsed();
    until("the edge to have them", || (kept() == WISHES).then_some(()));
    println!(
        "{WISHES} wishes, each stored, took {asked:?}; the edge had all {:?} later",
        began.elapsed() - asked
    );
    edge.signal("KILL");
    edge.wait();
    places.iter().for_each(|place| wish(&network, place, r#"{"wish":"return"}"#));
    let (began, mut edge) = start();
    edge.wait_for("following the controller");
    println!("after {WISHES} batches without it, from its start until it has them: {:?}", began.elapsed());
    for running in [&mut server, &mut edge] {
        running.signal("KILL");
        running.wait();
    }
    let name = format!("{}.{}", text(rows[0], "name"), text(&plan["zone"], "domain"));
    let (began, mut edge) = start();
    until("an answer", || {
        let words = ["dig", "@10.9.0.2", "+short", "+tries=1", "+time=1", &name];
        let told = network.run(Some(PLACE), &words);
        told.out.trim().starts_with("10.").then_some(())
    });
    println!("with the controller gone, from its start until its first answer: {:?}", began.elapsed());
    edge.signal("KILL");
    edge.wait();
}
