//! A zone that is served: `zw serve` in a private network, the switch it is served through, and machines behind that.
//!
//! ```text
//!  place `server`          place `leaf`                       places `u01`, `u02`, …
//!  eth0 ────────────────── uplink    swp1 ─────────────────── eth0
//!  the controller's        the switch's own    the router's address
//!  address of the plan     address             and the gateway's
//! ```
//!
//! Every port of the switch is a routed port with the subnet's router address: `isc-dhcp-relay` writes the name of the
//! interface that a request came by as circuit-id, and would write `br0` for a bridge.

use crate::network::{Ended, Network, Running, copy_folder, until};
use crate::zw;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where things are in the private network.
pub(crate) const DESIGN: &str = "/run/zone";
pub(crate) const STATE: &str = "/run/state";
pub(crate) const LOADERS: &str = "/run/loaders";
const SOCKET: &str = "/run/zonewright/api.sock";

/// The program under test.
pub(crate) const ZW: &str = env!("CARGO_BIN_EXE_zw");

/// A zone in its network. The server is stopped before the network is.
pub(crate) struct Zone {
    pub(crate) server: Option<Running>,
    relay: Option<Running>,
    relay6: Option<Running>,
    pub(crate) network: Network,
    pub(crate) facts: Addresses,
}

/// What the tests need to know of the plan.
pub(crate) struct Addresses {
    /// All of it, as `zw plan --json` prints it.
    pub(crate) plan: Value,
    pub(crate) controller: String,
    /// The leaf's own address on the controllers' network.
    pub(crate) leaf: String,
    /// The leaf's address on the machines' network: what its relay writes as giaddr.
    pub(crate) router: String,
    /// What the machines are told as their router.
    pub(crate) gateway: String,
    /// The length of the machines' prefix.
    pub(crate) length: String,
}

impl Addresses {
    fn of(plan: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned();
        let interface = |location: &str| {
            let rows = plan["interfaces"].as_array().into_iter().flatten();
            let mut rows =
                rows.filter(|row| row["location"].as_str().is_some_and(|at| at.ends_with(location)));
            rows.next().map(|row| text(&row["v4"])).unwrap_or_else(|| panic!("{location} has no address"))
        };
        let boot =
            plan["networks"].as_array().into_iter().flatten().find(|network| network["name"] == "boot");
        let subnet = &boot.expect("a network `boot`")["subnets"][0];
        Self {
            controller: interface("/ctl1"),
            leaf: interface("/leaf-a"),
            router: text(&subnet["routers"][0]["v4"]),
            gateway: text(&subnet["gateway4"]),
            length: text(&subnet["v4"]).split_once('/').expect("a prefix").1.to_owned(),
            plan,
        }
    }

    /// The address that the plan gives to the machine in this unit.
    pub(crate) fn address_of(&self, unit: &str) -> String {
        self.planned(unit, "v4")
    }

    /// Its IPv6 address.
    pub(crate) fn address6_of(&self, unit: &str) -> String {
        self.planned(unit, "v6")
    }

    /// The leaf's own IPv6 address on the machines' network: what its relay writes as link-address.
    pub(crate) fn router6(&self) -> String {
        let mut networks = self.plan["networks"].as_array().into_iter().flatten();
        let boot = networks.find(|network| network["name"] == "boot").expect("a network `boot`");
        boot["subnets"][0]["routers"][0]["v6"].as_str().expect("an address").to_owned()
    }

    fn planned(&self, unit: &str, family: &str) -> String {
        let rows = self.plan["interfaces"].as_array().into_iter().flatten();
        let mut rows =
            rows.filter(|row| row["location"].as_str().is_some_and(|at| at.ends_with(&format!("/{unit}"))));
        rows.next()
            .and_then(|row| row[family].as_str())
            .unwrap_or_else(|| panic!("{unit} has no address"))
            .to_owned()
    }
}

impl Zone {
    /// The design `tests/judges/one-rack`, in a network of its own, not yet served.
    pub(crate) fn drawn() -> Option<Self> {
        Self::drawn_with(|text| text)
    }

    /// The same with its `zone.hcl` changed.
    pub(crate) fn drawn_with(change: impl FnOnce(String) -> String) -> Option<Self> {
        let network = Network::new()?;
        copy_folder(&zw::root().join("tests/judges/one-rack"), &network.outside(DESIGN));
        let text = change(network.text(&format!("{DESIGN}/zone.hcl")));
        network.write(&format!("{DESIGN}/zone.hcl"), text);
        network.write(&format!("{DESIGN}/images/vmlinuz"), noise(1, 300_001));
        network.write(&format!("{DESIGN}/images/initrd.img"), noise(2, 1_000_003));
        network.write(&format!("{LOADERS}/undionly.kpxe"), noise(3, 70_000));
        network.write(&format!("{LOADERS}/snponly.efi"), noise(4, 200_000));
        network.write(&format!("{LOADERS}/ipxe.efi"), noise(5, 1_000_000));
        let json = network.run(None, &[ZW, "plan", DESIGN, "--json"]).fine();
        let facts = Addresses::of(serde_json::from_str(&json).expect("`zw plan --json` prints JSON"));
        let zone = Self { network, facts, server: None, relay: None, relay6: None };
        zone.build();
        Some(zone)
    }

    /// The same, served.
    pub(crate) fn served() -> Option<Self> {
        let mut zone = Self::drawn()?;
        zone.serve();
        Some(zone)
    }

    fn build(&self) {
        let Addresses { controller, leaf, .. } = &self.facts;
        self.network.add_place("server");
        self.network.add_place("leaf");
        self.network.add_cable(("server", "eth0"), ("leaf", "uplink"));
        self.network.sh(
            Some("server"),
            &format!(
                "ip address add {controller}/32 dev eth0
                 ip route add {leaf} dev eth0
                 ip route add default via {leaf}"
            ),
        );
        self.network.sh(
            Some("leaf"),
            &format!(
                "ip address add {leaf}/32 dev uplink
                 ip route add {controller} dev uplink src {leaf}
                 echo 1 >/proc/sys/net/ipv4/ip_forward"
            ),
        );
    }

    /// Plugs a host called `place` into a port of the leaf. `address` is the one that packets will be routed to.
    pub(crate) fn plug(&self, place: &str, port: &str, address: Option<&str>) {
        let Addresses { router, gateway, .. } = &self.facts;
        self.network.add_place(place);
        self.network.add_cable(("leaf", port), (place, "eth0"));
        let route = address.map(|address| format!("ip route add {address} dev {port}")).unwrap_or_default();
        self.network.sh(
            Some("leaf"),
            &format!(
                "ip address add {router}/32 dev {port}
                 ip address add {gateway}/32 dev {port}
                 {route}"
            ),
        );
    }

    /// Plugs a machine into its port as it is drawn: `u02` into `swp2`.
    pub(crate) fn plug_machine(&self, place: &str) -> String {
        let address = self.facts.address_of(place);
        let port = format!("swp{}", place.trim_start_matches(['u', '0']));
        self.plug(place, &port, Some(&address));
        address
    }

    /// Gives a place the address it would get, for tests that are not about getting it.
    pub(crate) fn settle(&self, place: &str, address: &str) {
        let Addresses { gateway, length, .. } = &self.facts;
        self.network.sh(
            Some(place),
            &format!(
                "ip address add {address}/{length} dev eth0
                 ip route add default via {gateway}"
            ),
        );
    }

    /// The firmware of a machine that is plugged in boots. Gives where its agent finds controllers, and their authority's
    /// SHA-256, as its boot script says.
    pub(crate) fn boot(&self, place: &str) -> (String, String) {
        let firmware = ["-V", "PXEClient:Arch:00007:UNDI:003016", "-s", "/bin/true"];
        let client = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "5", "-T", "1"];
        self.network.run(Some(place), &[&client[..], &firmware].concat()).fine();
        self.settle(place, &self.facts.address_of(place));
        let url = format!("http://{}/boot/auto.ipxe", self.facts.controller);
        let script = self.network.run(Some(place), &["curl", "--silent", "--fail", &url]).fine();
        let word = |key: &str| {
            let found = script.split_whitespace().find_map(|word| word.strip_prefix(key));
            found.unwrap_or_else(|| panic!("no {key} in {script}")).to_owned()
        };
        (word("zw.controller="), word("zw.ca="))
    }

    /// A host beside the zone that reaches the server from this address.
    pub(crate) fn add_neighbour(&self, place: &str, address: &str) {
        let controller = &self.facts.controller;
        self.network.add_place(place);
        self.network.add_cable(("server", place), (place, "eth0"));
        self.network.sh(Some("server"), &format!("ip route add {address} dev {place} src {controller}"));
        self.network.sh(
            Some(place),
            &format!(
                "ip address add {address}/32 dev eth0
                 ip route add {controller} dev eth0 src {address}"
            ),
        );
    }

    /// Starts `zw serve` and waits until its API answers.
    pub(crate) fn serve(&mut self) {
        self.serve_as(&[]);
    }

    /// The same, started by another program.
    pub(crate) fn serve_as(&mut self, starter: &[&str]) {
        let words = [starter, &[ZW, "serve", DESIGN, "--state", STATE, "--loaders", LOADERS]].concat();
        self.server = Some(self.network.start("server", &words));
        let server = self.server.as_mut().expect("just started");
        let network = &self.network;
        until("the API of `zw serve`", || {
            assert!(server.ended().is_none(), "`zw serve` ended:\n{}", server.said());
            get(network, "/v1/status").ok()
        });
    }

    /// Kills the server as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal("KILL");
        server.wait();
    }

    /// Starts `isc-dhcp-relay` on the ports that have something plugged in.
    pub(crate) fn relay(&mut self, more: &[&str]) {
        self.relay = None;
        let ports =
            self.network.sh(Some("leaf"), "ip -o link | sed -n 's/^[0-9]*: \\(swp[0-9]*\\)@.*/\\1/p'");
        let mut words = vec!["dhcrelay", "-4", "-d", "--no-pid", "-a", "-m", "append", "-iu", "uplink"];
        words.extend(more);
        words.extend(ports.lines().flat_map(|port| ["-id", port]));
        words.push(&self.facts.controller);
        let relay = self.relay.insert(self.network.start("leaf", &words));
        relay.wait_for("Sending on   Socket/fallback");
    }

    /// Lets a machine's port of the leaf speak IPv6, with the router's address of the plan.
    pub(crate) fn route6(&self, place: &str) {
        self.route6_port(&format!("swp{}", place.trim_start_matches(['u', '0'])));
    }

    /// Lets a place use its link-local address at once: some clients do not wait until nobody else claims it.
    pub(crate) fn wake6(&self, place: &str) {
        let settings = "/proc/sys/net/ipv6/conf/eth0";
        self.network.sh(
            Some(place),
            &format!(
                "echo 1 >{settings}/disable_ipv6
                 echo 0 >{settings}/accept_dad
                 echo 0 >{settings}/disable_ipv6"
            ),
        );
        until(&format!("{place} to have a link-local address"), || {
            let shown = self.network.sh(Some(place), "ip -6 -o address show dev eth0 scope link");
            (!shown.is_empty() && !shown.contains("tentative")).then_some(())
        });
    }

    pub(crate) fn route6_port(&self, port: &str) {
        let router = self.facts.router6();
        self.network.sh(Some("leaf"), &format!("ip address add {router}/128 dev {port} nodad"));
    }

    /// Starts `isc-dhcp-relay` for DHCPv6 on the ports that have something plugged in. It writes the number of a port.
    pub(crate) fn relay6(&mut self, more: &[&str]) {
        self.relay6 = None;
        let (controller, leaf) = (self.facts.address6_of("ctl1"), self.facts.address6_of("leaf-a"));
        self.network.sh(
            Some("leaf"),
            &format!(
                "ip address replace {leaf}/128 dev uplink nodad
                 ip -6 route replace {controller}/128 dev uplink src {leaf}"
            ),
        );
        self.network.sh(Some("server"), &format!("ip -6 route replace {leaf}/128 dev eth0 src {controller}"));
        let ports =
            self.network.sh(Some("leaf"), "ip -o link | sed -n 's/^[0-9]*: \\(swp[0-9]*\\)@.*/\\1/p'");
        let router = self.facts.router6();
        let links: Vec<String> =
            ports.lines().map(|port| format!("{router}%{port}#{}", port.trim_start_matches("swp"))).collect();
        let upstream = format!("{controller}%uplink");
        let mut words = vec!["dhcrelay", "-6", "-d", "--no-pid", "-I", "-u", &upstream];
        words.extend(more);
        words.extend(links.iter().flat_map(|link| ["-l", link.as_str()]));
        let relay = self.relay6.insert(self.network.start("leaf", &words));
        relay.wait_for("Sending on   Socket");
    }

    /// Runs `zw` against the server.
    pub(crate) fn zw(&self, words: &[&str]) -> Ended {
        self.network.run(Some("server"), &[&[ZW], words].concat())
    }

    /// Reads from the API.
    pub(crate) fn get(&self, path: &str) -> Value {
        let body = get(&self.network, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}\n{body}"))
    }

    /// What Prometheus would read.
    pub(crate) fn metrics(&self) -> String {
        get(&self.network, "/metrics").unwrap_or_else(|error| panic!("/metrics: {error}"))
    }

    /// What the server said until now.
    pub(crate) fn log(&self) -> String {
        self.server.as_ref().map(Running::said).unwrap_or_default()
    }

    /// Waits until a place has exactly this IPv4 address, and the way out that the plan gives. Clients say that they
    /// have a lease before they have set the address.
    pub(crate) fn assert_address(&self, place: &str, address: &str) {
        let Addresses { gateway, length, .. } = &self.facts;
        self.await_line(place, "address show dev eth0 scope global", &format!("inet {address}/{length} "));
        self.await_line(place, "route show default", &format!("default via {gateway} "));
    }

    /// Waits until a place has no IPv4 address.
    pub(crate) fn assert_no_address(&self, place: &str) {
        until(&format!("{place} to have no address"), || {
            let has = self.network.sh(Some(place), "ip -4 -o address show dev eth0 scope global");
            has.is_empty().then_some(())
        });
    }

    /// Waits until a place has exactly this IPv6 address beside its link-local one.
    pub(crate) fn assert_address6(&self, place: &str, address: &str) {
        let show = || self.network.sh(Some(place), "ip -6 -o address show dev eth0 scope global");
        until(&format!("{place} to have {address}, beside {:?}", show()), || {
            let shown = show();
            (shown.lines().count() == 1 && shown.contains(&format!("inet6 {address}/"))).then_some(())
        });
    }

    /// Waits until a place has no IPv6 address but its link-local one.
    pub(crate) fn assert_no_address6(&self, place: &str) {
        until(&format!("{place} to have no address"), || {
            let has = self.network.sh(Some(place), "ip -6 -o address show dev eth0 scope global");
            has.is_empty().then_some(())
        });
    }

    /// Waits until `ip -4 -o WORDS` prints one line, with this in it.
    fn await_line(&self, place: &str, words: &str, text: &str) {
        let show = || self.network.sh(Some(place), &format!("ip -4 -o {words}"));
        until(&format!("{place} to have {text:?}, beside {:?}", show()), || {
            let shown = show();
            (shown.lines().count() == 1 && format!("{} ", shown.trim()).contains(text)).then_some(())
        });
    }
}

/// One request to the API's unix socket; the body of a 200.
fn get(network: &Network, path: &str) -> Result<String, String> {
    let mut stream = UnixStream::connect(network.outside(SOCKET)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| error.to_string())?;
    // HTTP 1.0: the body ends where the stream does.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: zonewright\r\n\r\n").map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(format!("{head}\n{body}")) }
}

/// Octets that look random and are always the same.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    // xorshift64 (Marsaglia 2003).
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(|| next().to_le_bytes()).flatten().take(length).collect()
}
