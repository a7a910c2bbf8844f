//! Machines whose role says `trust = "bmc"`: their BMC shows them half of a token on a virtual CD, which it fetches from the controller.

use crate::bmc::{
    play, plug_bmc, plug_libvirt, python, python_has_libvirt, with_bmcs, write_certificate, write_credentials,
};
use crate::machines::{ONE_AT_A_TIME, installer, is_asked};
use crate::network::{Running, copy_folder, have, skip, until};
use crate::served::{DESIGN, STATE, ZW, Zone};
use serde_json::Value;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The judges' rack, whose machines have BMCs and are proved by them.
fn by_bmc(text: String) -> String {
    with_bmcs(text).replacen("role \"hypervisor\" {", "role \"hypervisor\" {\n  trust = \"bmc\"", 1)
}

fn agent(zone: &Zone, (controller, pin): &(String, String), state: &str, drives: &str) -> Running {
    let words = ["agent", "--controller", controller, "--ca-pin", pin, "--location", "judged/p01/r1/u01"];
    zone.network.start("u01", &[&[ZW][..], &words, &["--state", state, "--drives", drives]].concat())
}

fn says(zone: &Zone, words: &[&str], text: &str) {
    until(text, || zone.zw(words).fine().contains(text).then_some(()));
}

#[test]
fn an_agent_enrols_with_a_key_that_only_its_bmc_could_fetch() {
    if !have(&["dhcrelay", "udhcpc", "curl", "python3"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn_with(|text| by_bmc(text).replace("installs = true", "args = \"quiet\""))
    else {
        return;
    };
    zone.serve();
    let bmc = plug_bmc(&zone);
    write_certificate(&zone);
    zone.network.write("/run/bmc/bmc.py", include_str!("bmc.py"));
    zone.network.write("/run/bmc/factory", "root\ncalvin\n");
    let words = ["python3", "/run/bmc/bmc.py", &bmc, "/run/bmc/cert.pem", "/run/bmc/key.pem", "/run/bmc"];
    let mut played = zone.network.start("bmc1", &words);
    played.wait_for("a BMC listens");
    zone.plug_machine("u01");
    zone.relay(&[]);
    let trust = zone.boot("u01");

    // Nobody can speak to its BMC yet.
    let mut elsewhere = agent(&zone, &trust, "/run/elsewhere", "/run/bmc");
    elsewhere.wait_for("awaited from the BMC, on a CD called ZW_");
    says(
        &zone,
        &["why", "hv-u01"],
        "its BMC cannot hand it its key: the BMC of judged/p01/r1/u01 is not adopted",
    );
    elsewhere.signal("KILL");
    elsewhere.wait();
    zone.zw(&["bmc", "adopt", "hv-u01", "--credentials", "/run/bmc/factory"]).fine();

    // Whoever has the machine's address, and not its drives.
    zone.kill();
    zone.serve();
    let mut elsewhere = agent(&zone, &trust, "/run/elsewhere", "/run/bmc");
    elsewhere.wait_for("awaited from the BMC, on a CD called ZW_");
    let state =
        || -> Value { serde_json::from_str(&zone.network.text("/run/bmc/state.json")).expect("JSON") };
    until("the CD to be inserted", || state()["image"].is_string().then_some(()));
    let url = state()["image"].as_str().expect("a URL").to_owned();
    let fetch = |place: &str, more: &[&str]| {
        let words = [
            &["curl", "--silent", "--output", "/run/fetched", "--write-out", "%{http_code} %{size_download}"],
            more,
        ];
        zone.network.run(Some(place), &[&words.concat()[..], &[&url]].concat()).fine()
    };
    assert_eq!(fetch("bmc1", &[]), "200 65536");
    assert_eq!(fetch("bmc1", &["--head"]), "200 0");
    assert_eq!(fetch("bmc1", &["--range", "65000-70000"]), "206 536");
    assert!(fetch("u01", &[]).starts_with("404 "), "only its BMC gets it");
    says(&zone, &["show", "hv-u01"], "the controller asked its BMC to hand its machine a key");
    says(
        &zone,
        &["show", "hv-u01"],
        "half of a single-use token was given out; its BMC hands over the other",
    );
    elsewhere.signal("KILL");
    elsewhere.wait();

    // The machine itself.
    let mut running = agent(&zone, &trust, "/run/agent", "/run/bmc/drives");
    running.wait_for("connected to");
    until("the CD to be ejected", || state()["image"].is_null().then_some(()));
    assert!(fetch("bmc1", &[]).starts_with("404 "), "what is spent is gone");
    assert_eq!(zone.get("/v1/machines/p01/r1/u01")["proof"], "bmc");
    let name = url.rsplit('/').next().and_then(|name| name.strip_suffix(".iso")).expect("a name");
    zone.network.sh(None, &format!("! grep -r -l -F -e {name} {STATE} /run/log"));
}

/// Whether this was told of a machine.
fn told(machine: &Value, text: &str) -> bool {
    let events = machine["timeline"].as_array().expect("a timeline");
    events.iter().any(|event| event["sentence"].as_str().is_some_and(|told| told.contains(text)))
}

/// A machine without disks, which the cloud's kernel has drivers for, and a place for images of CDs.
const DEFINE: &str = r#"
import libvirt
connection = libvirt.open("qemu:///system")
pool = connection.storagePoolDefineXML("""<pool type="dir"><name>default</name><target><path>/var/lib/libvirt</path></target></pool>""")
pool.create()
connection.defineXML("""<domain type="qemu"><name>u01</name><memory unit="MiB">1024</memory><vcpu>1</vcpu><cpu mode="maximum"/>
<os><type arch="x86_64" machine="pc">hvm</type><boot dev="hd"/></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type="ethernet"><mac address="52:54:00:12:34:01"/><target dev="tap1" managed="no"/><model type="virtio"/></interface>
<serial type="file"><source path="/run/bmc/console"/></serial></devices></domain>""")
"#;

#[test]
fn a_real_machine_that_its_bmc_starts_enrols_with_the_key_in_its_virtual_cd() {
    if !is_asked() || !have(&["libvirtd", "qemu-system-x86_64", "dhcrelay"]) {
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(emulator), Some(python)) = (python("sushy-emulator"), python("python")) else { return };
    if !python_has_libvirt(&python) {
        return skip("python3-libvirt not installed (`cargo xtask packages` does it)");
    }
    let Some(images) = installer() else { return };
    let installs = "kernel = \"images/installer/vmlinuz\"\n  initrd = [\"images/installer/installer.img\", \"images/installer/agent.img\"]";
    let Some(mut zone) = Zone::drawn_with(|text| {
        by_bmc(text)
            .replace("kernel = \"images/vmlinuz\"\n  initrd = [\"images/initrd.img\"]", installs)
            .replace("installs = true", "args = \"console=ttyS0,115200\"")
    }) else {
        return;
    };
    if !zone.network.has_users() {
        return skip("libvirtd wants to be root");
    }
    copy_folder(&images.join("installer"), &zone.network.outside(&format!("{DESIGN}/images/installer")));
    zone.serve();
    let address = plug_bmc(&zone);
    write_credentials(&zone, &python);
    let _libvirtd = plug_libvirt(&mut zone, &python, DEFINE);
    let (emulated, _) = play(&zone, &address, &emulator, false);
    let bmc = |words: &[&str]| {
        let ended = zone.zw(&[&["bmc"], words].concat());
        assert!(ended.is_fine(), "{ended}{}", emulated.said());
    };
    bmc(&["adopt", "hv-u01", "--as-given", "--credentials", "/run/bmc/right"]);
    bmc(&["boot", "hv-u01", "pxe", "--once", "--now"]);
    let began = Instant::now();
    let machine = loop {
        let machine = zone.get("/v1/machines/hv-u01");
        if told(&machine, "its token was used, and its agent has a certificate") {
            break machine;
        }
        let console = || zone.network.text("/run/bmc/console");
        assert!(began.elapsed() < Duration::from_secs(600), "{machine:#}\n{}", console());
        std::thread::sleep(Duration::from_secs(1));
    };
    assert!(told(&machine, "asked its BMC to boot from PXE once, now"), "{machine:#}");
    assert!(told(&machine, "half of a single-use token was given out"), "{machine:#}");
    bmc(&["power", "hv-u01", "force-off"]);
}
