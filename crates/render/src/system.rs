//! What a machine's own system is told: its name, its interfaces, who may log in, and what its agent starts from.
//!
//! In: the plan, the addresses that its interfaces showed. Out: files, and the kernel's command line. The untagged network of a port
//! asks by DHCP, like everything else that is plugged in there; only what has a tag, where nobody answers DHCP, has its address written down.

use model::design::{Audience, Design};
use model::install::File;
use model::plan::Interface;
use model::{DeviceId, Mac, Plan};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the agent lies in a system that another installer wrote: where any distribution lets its owner put programs.
pub(crate) const AGENT: &str = "/usr/local/bin/zw-agent";
/// Its service there.
pub(crate) const AGENT_UNIT: &str = "/etc/systemd/system/zw-agent.service";

/// The text of [`AGENT_UNIT`]. What the agent needs of the zone stands there and not on the kernel's command line, which is
/// another distribution's to write.
pub(crate) fn agent_service(flags: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Zonewright agent\n\
         After=network.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={AGENT} {flags}\n\
         Restart=always\n\
         RestartSec=2\n\
         StateDirectory=zonewright-agent\n\
         StateDirectoryMode=0700\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// The files of a machine, by path. `seen` is what each of its ports showed.
pub fn files(plan: &Plan, device: DeviceId, seen: &[(String, Mac)]) -> Vec<File> {
    let design = &plan.design;
    let own = &design.devices[device.index()];
    let model = &design.models[own.model.index()];
    let domain = &design.zone.domain;
    let mut files = vec![
        public("/etc/hostname", format!("{}\n", own.name)),
        public(
            "/etc/hosts",
            format!(
                "127.0.0.1 localhost\n127.0.1.1 {name}.{domain} {name}\n::1 localhost\n",
                name = own.name
            ),
        ),
    ];
    let interfaces: Vec<&Interface> = plan
        .interfaces_of(device)
        .iter()
        .filter(|interface| interface.audience == Audience::Machine)
        .collect();
    let is_data = |name: &str| model.port(name).is_some_and(|port| model.bmc != Some(port));
    for (name, mac) in seen.iter().filter(|(name, _)| is_data(name)) {
        let text = format!("[Match]\nPermanentMACAddress={mac}\n\n[Link]\nName={name}\n");
        files.push(public(&format!("/etc/systemd/network/10-{name}.link"), text));
    }
    for bond in &model.bonds {
        // Each cable keeps its own address: a request that comes by the other one shows the other, as it did to firmware.
        let text = format!(
            "[NetDev]\nName={}\nKind=bond\n\n\
             [Bond]\nMode=active-backup\nFailOverMACPolicy=active\nMIIMonitorSec=100ms\n",
            bond.name
        );
        files.push(public(&format!("/etc/systemd/network/20-{}.netdev", bond.name), text));
        for (number, member) in bond.members.iter().enumerate() {
            let member = &model.ports[member.index()];
            let mut text = format!("[Match]\nName={member}\n\n[Network]\nBond={}\n", bond.name);
            if number == 0 {
                text.push_str("PrimarySlave=yes\n");
            }
            files.push(public(&format!("/etc/systemd/network/20-{member}.network"), text));
        }
    }
    networks(plan, &interfaces, &mut files);
    let keys = own.role.map(|role| design.roles[role.index()].ssh_keys.as_slice()).unwrap_or_default();
    if !keys.is_empty() {
        let mut text = keys.join("\n");
        text.push('\n');
        files.push(File { path: "/root/.ssh/authorized_keys".into(), mode: 0o600, text });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn public(path: &str, text: String) -> File {
    File { path: path.to_owned(), mode: 0o644, text }
}

/// A `.network` for each interface, and a `.netdev` for each that is a tag on another.
fn networks(plan: &Plan, interfaces: &[&Interface], files: &mut Vec<File>) {
    let design = &plan.design;
    // An interface that only carries tags has no network of its own, and yet must come up.
    let mut carriers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for interface in interfaces {
        let (carrier, tag) = split(&interface.name);
        let tags = carriers.entry(carrier).or_default();
        tags.extend(tag.map(|_| interface.name.as_str()));
    }
    for (carrier, tags) in carriers {
        let untagged = interfaces.iter().find(|interface| interface.name == carrier);
        let mut text = format!("[Match]\nName={carrier}\n\n[Network]\n");
        let v4 = untagged.is_some_and(|interface| interface.v4.is_some());
        let v6 = untagged.is_some_and(|interface| interface.v6.is_some());
        text.push_str(match (v4, v6) {
            (true, true) => "DHCP=yes\n",
            (true, false) => "DHCP=ipv4\n",
            (false, true) => "DHCP=ipv6\n",
            (false, false) => "LinkLocalAddressing=no\n",
        });
        for tag in &tags {
            let _ = writeln!(text, "VLAN={tag}");
        }
        if v4 {
            text.push_str("\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n");
        }
        if v6 {
            // A zone's switches need not advertise: the address comes from where the cable leads, advertised or not.
            text.push_str("\n[DHCPv6]\nWithoutRA=solicit\n");
        }
        files.push(public(&format!("/etc/systemd/network/30-{carrier}.network"), text));
    }
    for interface in interfaces {
        let (_, Some(_)) = split(&interface.name) else { continue };
        tagged(plan, design, interface, files);
    }
}

/// `eno1.300` is tag 300 on `eno1`.
pub(crate) fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((carrier, tag)) if tag.bytes().all(|digit| digit.is_ascii_digit()) && !tag.is_empty() => {
            (carrier, Some(tag))
        }
        _ => (name, None),
    }
}

fn tagged(plan: &Plan, design: &Design, interface: &Interface, files: &mut Vec<File>) {
    let name = &interface.name;
    let subnet = plan.subnet(interface.subnet);
    let network = &design.networks[subnet.network.index()];
    let Some(vlan) = network.vlan else { return };
    let netdev = format!("[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={vlan}\n");
    files.push(public(&format!("/etc/systemd/network/20-{name}.netdev"), netdev));
    let mut text = format!("[Match]\nName={name}\n\n");
    if let Some(mtu) = network.mtu {
        let _ = write!(text, "[Link]\nMTUBytes={mtu}\n\n");
    }
    text.push_str("[Network]\nIPv6AcceptRA=no\n");
    let with_length = [
        interface.v4.zip(subnet.v4).map(|(address, net)| format!("{address}/{}", net.prefix_len())),
        interface.v6.zip(subnet.v6).map(|(address, net)| format!("{address}/{}", net.prefix_len())),
    ];
    for address in with_length.into_iter().flatten() {
        let _ = writeln!(text, "Address={address}");
    }
    files.push(public(&format!("/etc/systemd/network/30-{name}.network"), text));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use expect_test::expect;
    use model::Mac;
    use model::finding;

    pub(crate) const ZONE: &str = r#"
zone "t1" {
  domain   = "t1.example.net"
  supernet = ["10.64.0.0/16", "2001:db8:64::/48"]
  capacity = { pods = 1, racks = 1, units = 4 }
}
network "boot" {
  per = "rack"
  for = ["machine"]
}
network "storage" {
  per  = "rack"
  for  = ["machine"]
  vlan = 300
  ipv6 = false
  mtu  = 9000
}
network "bmc" {
  per = "rack"
  for = ["bmc"]
}
model "tor" {
  kind       = "switch"
  ports      = "swp{1..8}"
  circuit_id = "{port}"
}
model "node" {
  kind  = "server"
  nics  = ["eno1", "eno2"]
  bonds = { bond0 = ["eno1", "eno2"] }
  bmc   = { port = "bmc" }
}
role "store" {
  ssh_keys = ["ssh-ed25519 AAAA one@example.net"]
}
pod "p1" {
  rack "r1" {
    leaf "a" {
      model = "tor"
    }
    machines "u1" {
      model = "node"
      role  = "store"
      cable = { eno1 = leaf.a.swp[1], eno2 = leaf.a.swp[2], bmc = leaf.a.swp[3] }
    }
  }
}
"#;

    #[test]
    fn a_machine_is_told_what_is_its_own() {
        let file = finding::File { path: "zone.hcl".into(), text: ZONE.into() };
        let (design, findings) = design::parse(&[file]);
        let design = design.unwrap_or_else(|| panic!("{findings:?}"));
        let (plan, findings) = plan::compile(design, None);
        let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
        let machine = plan.design.devices.iter().position(|device| device.location.as_str() == "t1/p1/r1/u1");
        let seen = |port: &str, mac| (port.to_owned(), Mac([2, 0, 0, 0, 0, mac]));
        let seen = [seen("bmc", 9), seen("eno1", 1)];
        let mut text = String::new();
        for file in files(&plan, DeviceId::from_index(machine.unwrap()), &seen) {
            let _ = write!(text, "--- {} {:o}\n{}", file.path, file.mode, file.text);
        }
        expect![[r#"
            --- /etc/hostname 644
            p1-r1-u1
            --- /etc/hosts 644
            127.0.0.1 localhost
            127.0.1.1 p1-r1-u1.t1.example.net p1-r1-u1
            ::1 localhost
            --- /etc/systemd/network/10-eno1.link 644
            [Match]
            PermanentMACAddress=02:00:00:00:00:01

            [Link]
            Name=eno1
            --- /etc/systemd/network/20-bond0.300.netdev 644
            [NetDev]
            Name=bond0.300
            Kind=vlan

            [VLAN]
            Id=300
            --- /etc/systemd/network/20-bond0.netdev 644
            [NetDev]
            Name=bond0
            Kind=bond

            [Bond]
            Mode=active-backup
            FailOverMACPolicy=active
            MIIMonitorSec=100ms
            --- /etc/systemd/network/20-eno1.network 644
            [Match]
            Name=eno1

            [Network]
            Bond=bond0
            PrimarySlave=yes
            --- /etc/systemd/network/20-eno2.network 644
            [Match]
            Name=eno2

            [Network]
            Bond=bond0
            --- /etc/systemd/network/30-bond0.300.network 644
            [Match]
            Name=bond0.300

            [Link]
            MTUBytes=9000

            [Network]
            IPv6AcceptRA=no
            Address=10.64.0.22/28
            --- /etc/systemd/network/30-bond0.network 644
            [Match]
            Name=bond0

            [Network]
            DHCP=yes
            VLAN=bond0.300

            [DHCPv4]
            ClientIdentifier=mac
            UseDomains=yes

            [DHCPv6]
            WithoutRA=solicit
            --- /root/.ssh/authorized_keys 600
            ssh-ed25519 AAAA one@example.net
        "#]]
        .assert_eq(&text);
    }
}
