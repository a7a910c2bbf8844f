//! A small system to be installed: a shell as its first process, of what the installer and this machine have.

use api::image::{CHUNK, File, Manifest, ROOT};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Loads what a machine of QEMU needs, and mounts the root that the command line names.
const INITRD: &str = r#"#!/usr/bin/busybox sh
/usr/bin/busybox --install -s /usr/bin
export PATH=/usr/sbin:/usr/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run
for module in virtio_pci virtio_blk virtio_net virtio_rng crc32c_generic ext4 dm_mod raid1 raid10 vfat nls_ascii nls_cp437; do
  modprobe $module
done
word() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
for try in 1 2 3 4 5 6 7 8 9 10; do
  [ -e /dev/vda3 ] && break
  sleep 1
done
mdadm --assemble --scan --run 2>/dev/null
lvm vgchange -ay --config 'devices{use_devicesfile=0} activation{udev_sync=0 udev_rules=0 verify_udev_operations=1}' zw
mount -o ro $(word root) /mnt || { echo "NO ROOT"; sleep 1; echo b > /proc/sysrq-trigger; }
for each in dev proc sys run; do mount --move /$each /mnt/$each; done
exec switch_root /mnt /usr/sbin/init
"#;

/// Shows what the tests want to know, and runs the agent.
const INIT: &str = r#"#!/usr/bin/busybox sh
export PATH=/usr/sbin:/usr/bin
mount -o remount,rw /
echo "SYSTEM of $(cat /etc/image) in $(sed -n 's/.*\(zw.slot=.\).*/\1/p' /proc/cmdline)"
if [ -e /etc/breaks ]; then echo c > /proc/sysrq-trigger; fi
ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
echo "STATE $(stat -c '%a' /var/lib/zonewright-agent /var/lib/zonewright-agent/identity.json | tr '\n' ' ')"
echo "FILE $(stat -c '%a' /etc/ordered) $(cat /etc/ordered)"
echo "FSTAB $(tr '\n' ';' </etc/fstab)"
echo "ARRAY $(sed -n 's/ blocks.*//; s/^\(md[0-9]*\) : active .*\(raid[0-9]*\).*/\2/p' /proc/mdstat)"
if [ ! -s /etc/machine-id ]; then cat /proc/sys/kernel/random/uuid >/etc/machine-id; sync; fi
echo "KEPT $(cat /etc/machine-id)"
while true; do /usr/lib/zonewright/zw-agent; sleep 1; done
"#;

/// Makes an image of a system called so, in a directory. `breaks`: it panics when it starts. Gives its digest.
pub(crate) fn build(directory: &Path, installer: &Path, name: &str, breaks: bool) -> String {
    let tree = directory.with_extension("tree");
    for place in [&tree, &directory.to_path_buf()] {
        let _ = fs::remove_dir_all(place);
        fs::create_dir_all(place).expect("a directory");
    }
    let sh = |script: &str| {
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(&tree)
            .env("INSTALLER", installer)
            .env("IMAGE", directory)
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let write = |path: &str, text: &str| {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("a name")).expect("made");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("runs");
    };
    // First what the initial RAM disk has beside the installer's own files.
    write("init", INITRD);
    sh("mkdir -p usr/bin usr/lib/x86_64-linux-gnu
        cp /bin/busybox usr/bin/busybox
        cp -L /lib/x86_64-linux-gnu/libresolv.so.2 usr/lib/x86_64-linux-gnu/
        find . -mindepth 1 | sort | cpio --quiet -o -H newc >$IMAGE/initrd
        cat $INSTALLER/installer.img >>$IMAGE/initrd
        rm init
        zstd -dcq $INSTALLER/installer.img | cpio --quiet -idm --no-absolute-filenames
        rm -rf usr/lib/modules dev/console
        usr/bin/busybox --install -s usr/bin
        mkdir -p boot etc var/lib usr/sbin usr/bin");
    sh("for link in usr/bin/*; do if [ -L $link ]; then ln -sf busybox $link; fi; done
        cp $INSTALLER/vmlinuz boot/vmlinuz-test
        mv $IMAGE/initrd boot/initrd.img-test");
    write("usr/sbin/init", INIT);
    write("etc/image", name);
    if breaks {
        write("etc/breaks", "");
    }
    sh(
        "tar --numeric-owner --owner=0 --group=0 --format=posix -cf - . | zstd -q -3 -f -o $IMAGE/root.tar.zst",
    );
    let content = fs::read(directory.join(ROOT)).expect("an archive");
    let manifest = Manifest {
        kind: "os".into(),
        kernel: "test".into(),
        modules: 0,
        absent: Vec::new(),
        files: vec![File {
            name: ROOT.into(),
            size: content.len() as u64,
            sha256: hex(&content),
            chunks: content.chunks(usize::try_from(CHUNK).expect("short")).map(hex).collect(),
        }],
        packages: Vec::new(),
    };
    let text = serde_json::to_vec(&manifest).expect("JSON");
    fs::write(directory.join(api::image::FILE), &text).expect("a manifest");
    fs::remove_dir_all(&tree).expect("gone");
    digest(&text)
}

/// An image's digest, of its manifest.
pub(crate) fn digest(manifest: &[u8]) -> String {
    format!("sha256:{}", hex(manifest))
}

fn hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a string");
        text
    })
}
