//! Network interfaces: the kernel's own list, with speeds from `/sys/class/net`.
//!
//! The list comes over netlink, so it is that of the agent's network namespace; `/sys` may show another namespace's, and is
//! believed of an interface only if it tells the same hardware address.

use super::line;
use model::Mac;
use model::facts::Nic;
use nix::ifaddrs::getifaddrs;
use std::collections::BTreeMap;
use std::path::Path;

/// More are not looked at: a host of many guests has thousands of taps.
const NICS_MAX: usize = 512;

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;

/// Kinds of interface that are software stacked on others (`DEVTYPE` of their uevent).
const STACKED: [&str; 6] = ["bridge", "bond", "vlan", "vxlan", "wireguard", "tun"];

/// The Ethernet interfaces, by name, and the addresses of those that are only software, where `/sys` says which are. `None` for
/// these: there are more interfaces than are looked at.
pub(super) fn found(sys: &Path) -> (Vec<Nic>, Option<Vec<Mac>>) {
    let Ok(interfaces) = getifaddrs() else { return (Vec::new(), None) };
    let macs: BTreeMap<String, Mac> = interfaces
        .filter_map(|interface| {
            let link = interface.address.as_ref()?.as_link_addr()?;
            let mac = Mac(link.addr()?);
            (link.hatype() == ETHERNET && mac.0 != [0; 6]).then_some((interface.interface_name, mac))
        })
        .take(NICS_MAX)
        .collect();
    let is_whole = macs.len() < NICS_MAX;
    let (mut nics, mut stacked) = (Vec::new(), Vec::new());
    for (name, mac) in macs {
        let sys = sys.join(&name);
        match nic(&sys, name, mac) {
            Some(nic) => nics.push(nic),
            // A host's guests come and go, and it never asks by their taps.
            None if kind(&sys).as_deref() != Some("tun") => stacked.push(mac),
            None => {}
        }
    }
    stacked.sort_unstable();
    stacked.dedup();
    (nics, is_whole.then_some(stacked))
}

/// `DEVTYPE`, which what is only an Ethernet interface has not.
fn kind(sys: &Path) -> Option<String> {
    let uevent = super::text(&sys.join("uevent"));
    uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).map(str::to_owned)
}

fn nic(sys: &Path, name: String, mac: Mac) -> Option<Nic> {
    if line(&sys.join("address")).parse() != Ok(mac) {
        return Some(Nic { name, mac, mbps: None, neighbour: None });
    }
    if kind(sys).is_some_and(|kind| STACKED.contains(&kind.as_str()))
        || sys.join("bridge").exists()
        || sys.join("bonding").exists()
    {
        return None;
    }
    // A member of a bond shows the bond's address; its own is beside it.
    let own = line(&sys.join("bonding_slave/perm_hwaddr")).parse();
    // -1, or an error, while there is no link.
    let mbps = line(&sys.join("speed")).parse::<u32>().ok().filter(|mbps| (1..u32::MAX / 2).contains(mbps));
    Some(Nic { name, mac: own.unwrap_or(mac), mbps, neighbour: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn check(name: &str, files: &[(&str, &str)]) -> Option<(Mac, Option<u32>)> {
        let root = std::env::temp_dir().join(format!("zw-agent-{}-nic-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            fs::write(path, text).expect("written");
        }
        let found = nic(&root, name.into(), MAC);
        let _ = fs::remove_dir_all(&root);
        found.map(|nic| (nic.mac, nic.mbps))
    }

    #[test]
    fn speed_and_kind_are_believed_only_of_the_same_interface() {
        let same = ("address", "02:00:00:00:00:01\n");
        assert_eq!(check("fast", &[same, ("speed", "25000\n")]), Some((MAC, Some(25_000))));
        assert_eq!(check("down", &[same, ("speed", "-1\n")]), Some((MAC, None)));
        assert_eq!(check("br0", &[same, ("uevent", "DEVTYPE=bridge\nINTERFACE=br0\n")]), None);
        assert_eq!(check("bond0", &[same, ("bonding/mode", "802.3ad 4\n")]), None);
        let other = ("address", "02:00:00:00:00:02\n");
        assert_eq!(
            check("alien", &[other, ("speed", "25000\n"), ("uevent", "DEVTYPE=bridge\n")]),
            Some((MAC, None))
        );
        let member = ("bonding_slave/perm_hwaddr", "02:00:00:00:00:07\n");
        assert_eq!(check("member", &[same, member]), Some((Mac([2, 0, 0, 0, 0, 7]), None)));
    }

    #[test]
    fn the_list_holds_no_loopback() {
        let (nics, stacked) = found(Path::new("/sys/class/net"));
        assert!(nics.iter().all(|nic| nic.name != "lo"));
        assert!(stacked.is_some_and(|stacked| stacked.iter().all(|mac| mac.0 != [0; 6])));
    }
}
