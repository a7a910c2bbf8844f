//! A BMC that others play: sushy-tools' emulator at the address that the plan gives to a machine's BMC.
//!
//! The fake machine takes 1 to 11 seconds for each change of its power. It has neither sessions nor accounts, so that adopting is
//! held against a BMC of our own, `bmc.py`.

use crate::machines::ONE_AT_A_TIME;
use crate::network::{Running, have, skip, until, until_within};
use crate::served::{DESIGN, STATE, ZW, Zone};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

const UUID: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
/// How a played machine's agent ends where another's would restart it.
const RESTARTS: i32 = agent::options::RESTARTS;
const PASSWORD: &str = "calvin-2026";

/// Where `cargo xtask packages` puts Python's programs.
pub(crate) fn python(program: &str) -> Option<PathBuf> {
    let path = Path::new(ZW).ancestors().nth(2)?.join("python/bin").join(program);
    if !path.is_file() {
        skip(&format!("{program} not installed (`cargo xtask packages` does it)"));
        return None;
    }
    Some(path)
}

/// The judges' rack, with BMCs on its machines.
pub(crate) fn with_bmcs(text: String) -> String {
    let bmc = "network \"bmc\" {\n  per = \"rack\"\n  for = [\"bmc\"]\n}\n\n\
               model \"box\" {\n  kind = \"server\"\n  nics = [\"eth0\"]\n  bmc  = { port = \"bmc\" }\n}\n\nmodel \"node\" {";
    text.replacen("model \"node\" {", bmc, 1)
        .replace("u{01..12}", "u{01..04}")
        .replace(
            "role  = \"hypervisor\"\n      model = \"node\"",
            "role  = \"hypervisor\"\n      model = \"box\"",
        )
        .replace(
            "cable = { eth0 = leaf.a.swp[unit] }",
            "cable = { eth0 = leaf.a.swp[unit], bmc = leaf.a.swp[unit + 12] }",
        )
        .replace("args   = \"console=ttyS0,115200\"", "installs = true")
}

/// The address that the plan gives to the BMC of `u01`, on a host of its own called `bmc1`.
pub(crate) fn plug_bmc(zone: &Zone) -> String {
    let interfaces = zone.facts.plan["interfaces"].as_array().expect("interfaces");
    let bmc = interfaces
        .iter()
        .find(|row| row["name"] == "bmc" && row["location"].as_str().is_some_and(|at| at.ends_with("/u01")));
    let address = bmc.and_then(|row| row["v4"].as_str()).expect("a BMC with an address").to_owned();
    zone.add_neighbour("bmc1", &address);
    address
}

/// Writes a certificate and its key; gives its SHA-256.
pub(crate) fn write_certificate(zone: &Zone) -> String {
    let key = rcgen::generate_simple_self_signed(vec!["bmc.invalid".to_owned()]).expect("a certificate");
    zone.network.write("/run/bmc/cert.pem", key.cert.pem());
    zone.network.write("/run/bmc/key.pem", key.signing_key.serialize_pem());
    Sha256::digest(key.cert.der()).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The emulator at `address`, of a fake machine or of libvirt's, with a certificate of its own, whose SHA-256 comes back.
pub(crate) fn play(zone: &Zone, address: &str, emulator: &Path, is_fake: bool) -> (Running, String) {
    let certificate = write_certificate(zone);
    let config = format!(
        "SUSHY_EMULATOR_AUTH_FILE = '/run/bmc/users'\nSUSHY_EMULATOR_STATE_DIR = '/run/bmc'\n\
         SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{UUID}', 'name': 'fake', 'power_state': 'Off', \
         'external_notifier': False, 'nics': [{{'mac': '00:5c:52:31:3a:9c', 'ip': '172.22.0.100'}}]}}]\n"
    );
    zone.network.write("/run/bmc/emulator.conf", config);
    let emulator = emulator.display().to_string();
    let driver = if is_fake { "--fake" } else { "--libvirt-uri=qemu:///system" };
    let words = [
        &emulator,
        driver,
        "--config",
        "/run/bmc/emulator.conf",
        "--interface",
        address,
        "--port",
        "443",
        "--ssl-certificate",
        "/run/bmc/cert.pem",
        "--ssl-key",
        "/run/bmc/key.pem",
    ];
    let mut running = zone.network.start("bmc1", &words);
    running.wait_for("Running on https://");
    (running, certificate)
}

/// Writes who may log in to the emulator, and the credentials for `zw bmc adopt`.
pub(crate) fn write_credentials(zone: &Zone, python: &Path) {
    let hash =
        format!("import bcrypt; print('root:' + bcrypt.hashpw(b'{PASSWORD}', bcrypt.gensalt(4)).decode())");
    let users = zone.network.run(None, &[&python.display().to_string(), "-c", &hash]).fine();
    zone.network.write("/run/bmc/users", users);
    zone.network.write("/run/bmc/right", format!("root\n{PASSWORD}\n"));
    zone.network.write("/run/bmc/wrong", "root\nsomething-else\n");
}

#[test]
fn a_bmc_of_sushy_tools_is_adopted_and_worked_with() {
    let (Some(emulator), Some(python)) = (python("sushy-emulator"), python("python")) else { return };
    let Some(mut zone) = Zone::drawn_with(with_bmcs) else { return };
    zone.serve();
    let address = plug_bmc(&zone);
    write_credentials(&zone, &python);

    let refused = |words: &[&str], why: &str| {
        let ended = zone.zw(&[&["bmc"], words].concat());
        assert!(ended.status == 3 && ended.err.contains(why), "{ended}");
    };
    refused(&["power", "ctl1", "on"], "has no BMC with an address in the design");
    refused(&["power", "hv-u01", "on"], "is not adopted");
    refused(&["power", "nobody", "on"], "nobody");
    let (mut emulated, certificate) = play(&zone, &address, &emulator, true);
    let adopt = |file: &str| zone.zw(&["bmc", "adopt", "hv-u01", "--as-given", "--credentials", file]);
    let wrong = adopt("/run/bmc/wrong");
    assert!(wrong.status == 3 && wrong.err.contains("does not accept the user and password"), "{wrong}");
    refused(&["adopt", "hv-u01", "--credentials", "/run/bmc/right"], "it has no account service");
    let adopted = adopt("/run/bmc/right").fine();
    assert!(adopted.contains(&format!("its certificate is SHA-256 {certificate}")), "{adopted}");

    let says = |words: &[&str], text: &str| {
        let said = zone.zw(&[&["bmc"], words].concat()).fine();
        assert!(said.contains(text), "{words:?}: {said}");
    };
    // What the emulator itself says.
    let judge = |path: &str| -> Value {
        let curl = format!("curl -sk -u root:{PASSWORD} https://{address}/redfish/v1/Systems/{UUID}{path}");
        serde_json::from_str(&zone.network.sh(Some("bmc1"), &curl)).expect("JSON")
    };
    says(&["power", "hv-u01", "status"], "power is off");
    says(&["boot", "hv-u01", "pxe", "--once", "--mode", "uefi", "--now"], "it boots from PXE; power is on");
    let system = judge("");
    assert_eq!(
        (&system["PowerState"], &system["Boot"]["BootSourceOverrideTarget"]),
        (&"On".into(), &"Pxe".into())
    );
    says(&["boot", "hv-u01", "disk"], "it boots from disk when it starts next");
    assert_eq!(judge("")["Boot"]["BootSourceOverrideTarget"], "Hdd");
    says(&["power", "hv-u01", "force-off"], "power is off");
    assert_eq!(judge("")["PowerState"], "Off");

    zone.network.write("/run/bmc/media/rescue.iso", "an image");
    let python = python.display().to_string();
    let mut files = zone.network.start(
        "bmc1",
        &[&python, "-u", "-m", "http.server", "8000", "--bind", "127.0.0.1", "--directory", "/run/bmc/media"],
    );
    files.wait_for("Serving HTTP");
    let image = "http://127.0.0.1:8000/rescue.iso";
    says(&["media", "hv-u01", "insert", image], "is inserted");
    let slot = judge("/VirtualMedia/Cd");
    assert_eq!((&slot["Inserted"], &slot["Image"]), (&true.into(), &image.into()), "{slot}");
    says(&["media", "hv-u01", "eject"], "it is ejected");
    assert_eq!(judge("/VirtualMedia/Cd")["Inserted"], false);

    let inventory: Value =
        serde_json::from_str(&zone.zw(&["bmc", "inventory", "hv-u01", "--json"]).fine()).expect("JSON");
    assert_eq!((&inventory["uuid"], &inventory["vendor"]), (&UUID.into(), &"Sushy Emulator".into()));
    assert_eq!(inventory["nics"][0]["mac"], "00:5c:52:31:3a:9c", "{inventory}");
    // The fake machine has no firmware to update, and says so.
    refused(&["update", "hv-u01", image], "Failed fetching BIOS information");

    let history = zone.zw(&["show", "hv-u01"]).fine();
    for told in [
        "asked its BMC to boot from PXE once by UEFI, now",
        "its BMC was asked for power off at once: power is off",
    ] {
        assert!(history.contains(told), "{history}");
    }
    // Armed, a machine that is off is started by its BMC; one whose BMC is nobody's waits for a person.
    let armed = |words: &[&str]| zone.zw(&[&["arm"], words].concat()).fine();
    let said = armed(&["hv-u01", "--no-bmc"]);
    assert!(
        said.contains("it waits for somebody to start it from the network: its BMC is to be left alone"),
        "{said}"
    );
    let said = armed(&["hv-u02"]);
    assert!(said.contains("its BMC is not adopted (`zw bmc adopt p01/r1/u02`"), "{said}");
    assert_eq!(judge("")["PowerState"], "Off");
    assert!(armed(&["hv-u01"]).contains("it waits for its BMC to start it from the network"));
    until("the controller to start it", || (judge("")["PowerState"] == "On").then_some(()));
    assert_eq!(judge("")["Boot"]["BootSourceOverrideTarget"], "Pxe");
    let done = "its BMC was asked to boot from PXE once, now: it boots from PXE; power is on";
    until("the end to be told", || {
        (zone.zw(&["show", "hv-u01"]).fine().matches(done).count() == 1).then_some(())
    });
    let history = zone.zw(&["show", "hv-u01"]).fine();
    for told in [", asked its BMC to boot from PXE once, now", "the controller, for "] {
        assert!(history.contains(told), "{history}");
    }
    let why = zone.zw(&["why", "hv-u01"]).fine();
    assert!(
        why.contains("it waits for its firmware to ask for an address, since its BMC started it"),
        "{why}"
    );
    // Another box, or somebody between: nothing is said to it.
    emulated.signal("KILL");
    emulated.wait();
    let (other, another) = play(&zone, &address, &emulator, true);
    assert_ne!(certificate, another);
    refused(&["power", "hv-u01", "status"], "it shows another certificate");
    assert!(!other.said().contains("GET"), "{}", other.said());
    // The password is nowhere to be read, and what is kept survives a power cut.
    let everywhere = format!("! grep -r -l -F {PASSWORD} {STATE} /run/log");
    zone.network.sh(None, &everywhere);
    zone.kill();
    zone.serve();
    let ended = zone.zw(&["bmc", "power", "hv-u01", "status"]);
    assert!(ended.err.contains("it shows another certificate"), "{ended}");
    // The key is lost: nothing that was sealed with it opens, and who has an account that works begins anew.
    zone.kill();
    let key = zone.network.outside(&format!("{STATE}/secrets.key"));
    std::fs::remove_file(&key).expect("the state directory had its key");
    zone.serve();
    until("the state directory to have another key", || key.is_file().then_some(()));
    let ended = zone.zw(&["bmc", "power", "hv-u01", "status"]);
    assert!(ended.status == 3 && ended.err.contains("was sealed with another secrets.key"), "{ended}");
    zone.zw(&["bmc", "adopt", "hv-u01", "--as-given", "--credentials", "/run/bmc/right"]).fine();
    let said = zone.zw(&["bmc", "power", "hv-u01", "status"]).fine();
    assert!(said.contains("power is"), "{said}");
}

/// A machine restarts into a kernel that is never heard of. Nobody is in it who could restart it when the change is taken back.
#[test]
fn a_machine_that_hangs_in_what_is_taken_back_is_power_cycled() {
    let (Some(emulator), Some(python)) = (python("sushy-emulator"), python("python")) else { return };
    if !have(&["dhcrelay", "udhcpc", "curl"]) {
        return;
    }
    let args = "args   = \"console=ttyS0,115200\"";
    let draw = |text| with_bmcs(text).replace("installs = true", args);
    let Some(mut zone) = Zone::drawn_with(draw) else { return };
    zone.serve();
    let address = plug_bmc(&zone);
    write_credentials(&zone, &python);
    let _emulated = play(&zone, &address, &emulator, true);
    zone.zw(&["bmc", "adopt", "hv-u01", "--as-given", "--credentials", "/run/bmc/right"]).fine();
    zone.zw(&["bmc", "power", "hv-u01", "on"]).fine();
    zone.plug_machine("u01");
    zone.relay(&[]);
    let boot = |zone: &Zone| {
        zone.network.sh(Some("u01"), "ip address flush dev eth0");
        zone.boot("u01")
    };
    let start = |zone: &Zone| {
        let (controller, pin) = boot(zone);
        let words =
            ["agent", "--played", "--controller", &controller, "--ca-pin", &pin, "--state", "/run/agent"];
        zone.network.start("u01", &[&[ZW][..], &words, &["--location", "judged/p01/r1/u01"]].concat())
    };
    let mut agent = start(&zone);
    let state = |zone: &Zone| zone.get("/v1/machines/p01/r1/u01")["state"].clone();
    until("u01 to be ready", || (state(&zone) == "ready").then_some(()));

    let path = format!("{DESIGN}/zone.hcl");
    let text = zone.network.text(&path).replace(args, "args   = \"console=ttyS0,9600\"");
    zone.network.write(&path, text);
    zone.zw(&["apply", "-m", "a slower console", "--yes"]).fine();
    assert_eq!(agent.wait(), RESTARTS, "{}", agent.said());
    // Its kernel is fetched, and stands still.
    boot(&zone);
    let long = Duration::from_secs(240);
    until_within(long, "the change to be taken back", || {
        let waits = zone.zw(&["why", "hv-u01"]).fine();
        waits
            .contains("it waits for what it was given to come to an end; else its BMC power-cycles it")
            .then_some(())
    });
    let done = "its BMC was asked for power cycle: power is on";
    until_within(long, "its BMC to be asked", || {
        zone.zw(&["show", "hv-u01"]).fine().contains(done).then_some(())
    });
    let history = zone.zw(&["show", "hv-u01"]).fine();
    assert!(history.contains("the controller, for change 2, asked its BMC for power cycle"), "{history}");
    let why = zone.zw(&["why", "hv-u01"]).fine();
    assert!(why.contains("its firmware to ask for an address, since its BMC power-cycled it"), "{why}");
    let _agent = start(&zone);
    until("u01 to be ready again", || (state(&zone) == "ready").then_some(()));
    until("the end", || (zone.get("/v1/changes/2")["outcome"] == "1 machine done").then_some(()));
}

/// libvirtd in a place whose `/var` is its own, so that it leaves nothing behind and finds no machine of this host. The shell
/// stays, as the first process of its own: it sees off the emulators that libvirtd sets free, and libvirtd waits for that.
const LIBVIRTD: &str = r#"
mkdir -p /run/var/upper /run/var/work
mount -t overlay overlay -o lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work /var
mkdir -p /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt
grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false >>/etc/passwd
grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055: >>/etc/group
cat >/etc/libvirt/qemu.conf <<END
user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
END
libvirtd
exit 1
"#;

const UNSHARED: [&str; 6] = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Plugs in `u01` as a machine of libvirt's, which `script` (Python) defines, with its interface at `tap1`. Gives libvirtd.
pub(crate) fn plug_libvirt(zone: &mut Zone, python: &Path, script: &str) -> Running {
    zone.plug_machine("u01");
    zone.network.sh(
        Some("u01"),
        "ip link add br0 type bridge && ip link set eth0 master br0 &&
         ip tuntap add dev tap1 mode tap && ip link set tap1 master br0 &&
         ip link set tap1 up && ip link set br0 up",
    );
    zone.relay(&[]);
    let libvirtd = zone.network.start("u01", &[&UNSHARED[..], &["sh", "-euc", LIBVIRTD]].concat());
    until("libvirtd to listen", || zone.network.outside("/run/libvirt/libvirt-sock").exists().then_some(()));
    let defined = zone.network.run(Some("u01"), &[&python.display().to_string(), "-c", script]);
    assert!(defined.is_fine(), "{defined}{}", libvirtd.said());
    libvirtd
}

/// A machine without disks.
const DEFINE: &str = r#"
import libvirt
libvirt.open("qemu:///system").defineXML("""<domain type="qemu"><name>u01</name><memory unit="MiB">256</memory><vcpu>1</vcpu>
<os><type arch="x86_64" machine="q35">hvm</type><boot dev="hd"/></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type="ethernet"><mac address="52:54:00:12:34:01"/><target dev="tap1" managed="no"/><model type="e1000"/></interface>
</devices></domain>""")
"#;

#[test]
fn a_real_machine_is_booted_from_the_network_by_its_bmc() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(emulator), Some(python)) = (python("sushy-emulator"), python("python")) else { return };
    if !have(&["libvirtd", "qemu-system-x86_64", "dhcrelay"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn_with(with_bmcs) else { return };
    if !zone.network.has_users() {
        return skip("libvirtd wants to be root");
    }
    if !python_has_libvirt(&python) {
        return skip("python3-libvirt not installed (`cargo xtask packages` does it)");
    }
    zone.serve();
    let address = plug_bmc(&zone);
    write_credentials(&zone, &python);
    let libvirtd = plug_libvirt(&mut zone, &python, DEFINE);
    let (emulated, _) = play(&zone, &address, &emulator, false);
    let bmc = |words: &[&str]| {
        let ended = zone.zw(&[&["bmc"], words].concat());
        assert!(ended.is_fine(), "{ended}{}", emulated.said());
        ended.out
    };
    bmc(&["adopt", "hv-u01", "--as-given", "--credentials", "/run/bmc/right"]);
    let inventory = bmc(&["inventory", "hv-u01"]);
    assert!(inventory.contains("52:54:00:12:34:01") && inventory.contains("power       off"), "{inventory}");
    // Firmware is followed to its end, and the emulator counts its version up.
    let bios = || -> Value { serde_json::from_str(&bmc(&["inventory", "hv-u01", "--json"])).expect("JSON") };
    let before = bios()["bios"].clone();
    let updated = bmc(&["update", "hv-u01", "http://10.77.0.1/bios.bin"]);
    assert!(updated.contains("http://10.77.0.1/bios.bin is installed"), "{updated}");
    assert!(before.is_string() && bios()["bios"] != before, "{before}");
    // Armed, it is started by the controller as a person would: `zw bmc boot hv-u01 pxe --once --now`.
    let armed = zone.zw(&["arm", "hv-u01"]).fine();
    assert!(armed.contains("it waits for its BMC to start it from the network"), "{armed}");
    // Its own firmware asks on its own port: emulated, on a machine that has other things to do, it takes its time.
    let began = std::time::Instant::now();
    let asked = || {
        let machine = zone.get("/v1/machines/hv-u01");
        let told = machine["timeline"].as_array().expect("a timeline").iter();
        told.clone()
            .any(|event| event["sentence"].as_str().is_some_and(|text| text.contains("52:54:00:12:34:01")))
    };
    while !asked() {
        assert!(began.elapsed().as_secs() < 300, "{}", libvirtd.said());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(bmc(&["power", "hv-u01", "force-off"]).contains("power is off"));
    assert!(bmc(&["power", "hv-u01", "status"]).contains("power is off"));
    let history = zone.zw(&["show", "hv-u01"]).fine();
    assert!(history.contains("asked its BMC to boot from PXE once, now"), "{history}");
}

pub(crate) fn python_has_libvirt(python: &Path) -> bool {
    std::process::Command::new(python)
        .args(["-c", "import libvirt"])
        .output()
        .is_ok_and(|done| done.status.success())
}

#[test]
fn an_adoption_that_a_power_cut_ends_is_finished_with_the_same_passwords() {
    let Some(mut zone) = have(&["python3"]).then(|| Zone::drawn_with(with_bmcs)).flatten() else { return };
    zone.serve();
    let address = plug_bmc(&zone);
    let certificate = write_certificate(&zone);
    zone.network.write("/run/bmc/bmc.py", include_str!("bmc.py"));
    zone.network.write("/run/bmc/factory", "root\ncalvin\n");
    zone.network.write("/run/bmc/hold", "");
    let words = ["python3", "/run/bmc/bmc.py", &address, "/run/bmc/cert.pem", "/run/bmc/key.pem", "/run/bmc"];
    let mut played = zone.network.start("bmc1", &words);
    played.wait_for("a BMC listens");
    let state =
        || -> Value { serde_json::from_str(&zone.network.text("/run/bmc/state.json")).expect("JSON") };
    let adopt = ["bmc", "adopt", "hv-u01", "--credentials", "/run/bmc/factory"];

    // The account is made; the factory's is about to get another password.
    let asking = zone.network.start("server", &[&[ZW], &adopt[..]].concat());
    until("the change of the factory's password", || (state()["waiting"] == 1).then_some(()));
    let ours = state()["accounts"]["2"].clone();
    assert_eq!(ours[0], "zonewright");
    drop(asking);
    zone.kill();
    zone.network.sh(None, "rm /run/bmc/hold");
    zone.serve();
    let ended = zone.zw(&["bmc", "power", "hv-u01", "status"]);
    assert!(ended.status == 3 && ended.err.contains("is not adopted"), "{ended}");
    let adopted = zone.zw(&adopt).fine();
    assert!(adopted.contains(&format!("ours; its certificate is SHA-256 {certificate}")), "{adopted}");
    let state =
        || -> Value { serde_json::from_str(&zone.network.text("/run/bmc/state.json")).expect("JSON") };
    let factory = state()["accounts"]["1"].clone();
    assert_eq!(state()["accounts"]["2"], ours, "the password of the first time");
    assert!(factory[1] != "calvin" && factory[1] != ours[1], "{factory}");
    // Now it is worked with by our account, and the factory's no longer counts; adopted again, it stays as it is.
    assert!(zone.zw(&["bmc", "power", "hv-u01", "status"]).fine().contains("power is on"));
    zone.zw(&adopt).fine();
    assert_eq!((&state()["accounts"]["1"], &state()["accounts"]["2"]), (&factory, &ours));
    let history = zone.zw(&["show", "hv-u01"]).fine();
    assert!(history.contains("its BMC was asked to be adopted, as root: ours"), "{history}");
    for secret in [&ours[1], &factory[1], &"calvin".into()] {
        let secret = secret.as_str().expect("a password");
        zone.network.sh(None, &format!("! grep -r -l -F -e {secret} {STATE} /run/log"));
    }
    let of_before = |session: &&str| *session != "root";
    let left: Vec<Value> = state()["sessions"].as_object().expect("sessions").values().cloned().collect();
    assert!(
        left.len() <= 1 && left.iter().filter_map(Value::as_str).all(|user| of_before(&user)),
        "{left:?}"
    );
}
