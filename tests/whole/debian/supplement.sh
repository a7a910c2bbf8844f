#!/bin/sh
# Debian's netboot kernel and initial RAM disk, and a second one with the components that the mirror in reach does not have.
#
#   supplement.sh SUITE DIRECTORY       needs apt-get, dpkg-deb, cpio, depmod; installs nothing
#
# Writes DIRECTORY/linux, DIRECTORY/initrd.gz (both as the package has them), DIRECTORY/supplement.img and DIRECTORY/missing. A mirror
# that keeps no more than the last point release loses components (`.udeb`) that the installer names by its index; what they hold is in
# Debian's ordinary packages too, and the installer does not ask for what its own status says is there.
set -eu
suite=$1 to=$2
mirror=http://deb.debian.org/debian
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to" "$work/lists/partial" "$work/cache/archives/partial" "$work/get"
echo "deb [trusted=yes] $mirror $suite main main/debian-installer" >"$work/sources.list"
cat >"$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$work";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
export APT_CONFIG="$work/apt.conf"
apt-get -q update
cd "$work/get"

apt-get -q download "debian-installer-13-netboot-amd64"
dpkg-deb --fsys-tarfile debian-installer-*.deb |
  tar -x -C "$work" --strip-components=10 --wildcards '*/text/debian-installer/amd64/linux' '*/text/debian-installer/amd64/initrd.gz'
rm debian-installer-*.deb
cp "$work/linux" "$work/initrd.gz" "$to"

# What it has already, and the same for its modules, so that their dependencies can be told for both together.
mkdir "$work/has" "$work/add"
zcat "$work/initrd.gz" | (cd "$work/has" && cpio -idm --quiet 'usr/lib/modules/*' 'var/lib/dpkg/status' 2>/dev/null || true)
abi=$(ls "$work/has/usr/lib/modules")

# Of what anna takes by itself (standard priority, and what that depends on), what holds programs or modules that are used here.
modules="ata btrfs cdrom-core ext4 firewire-core isofs jfs loop md pata pcmcia-storage sata scsi xfs"
programs="e2fsprogs-udeb libmount1-udeb ntfs-3g-udeb xfsprogs-udeb"
names=$programs
for name in $modules; do names="$names $name-modules-$abi-di"; done
cp "$work/has/var/lib/dpkg/status" "$work/status"
: >"$to/missing"
for name in $names; do
  if apt-get -q download "$name" >"$work/said" 2>&1; then continue; fi
  grep -q '404' "$work/said" || { cat "$work/said" >&2; exit 1; }
  echo "$name" >>"$to/missing"
  { echo; apt-cache show --no-all-versions "$name" | sed '/^Package:/a Status: install ok unpacked' | sed '/^$/d'; } >>"$work/status"
done
if [ -s "$to/missing" ]; then
  apt-get -q download "linux-image-$abi" e2fsprogs libext2fs2t64 libcom-err2 libmount1
  dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x -C "$work/add" --wildcards \
    './usr/lib/modules/*/kernel/lib/*' './usr/lib/modules/*/kernel/crypto/*' './usr/lib/modules/*/kernel/arch/x86/crypto/*' \
    './usr/lib/modules/*/kernel/drivers/scsi/*' './usr/lib/modules/*/kernel/drivers/ata/*' './usr/lib/modules/*/kernel/drivers/nvme/*' \
    './usr/lib/modules/*/kernel/drivers/block/*' './usr/lib/modules/*/kernel/drivers/cdrom/*' './usr/lib/modules/*/kernel/drivers/md/*' \
    './usr/lib/modules/*/kernel/drivers/dax/*' './usr/lib/modules/*/kernel/fs/ext4/*' './usr/lib/modules/*/kernel/fs/jbd2/*' \
    './usr/lib/modules/*/kernel/fs/mbcache*' './usr/lib/modules/*/kernel/fs/fat/*' './usr/lib/modules/*/kernel/fs/nls/*' \
    './usr/lib/modules/*/kernel/fs/isofs/*' './usr/lib/modules/*/kernel/fs/efivarfs/*'
  for deb in e2fsprogs_*.deb libext2fs2t64_*.deb libcom-err2_*.deb libmount1_*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/add" --exclude './usr/share/*'
  done
  rm -rf "$work/add/lib" # what is not under /usr would hide the link that the installer has there
  # Both together, to tell which needs which.
  cp -a "$work/has/usr/lib/modules" "$work/both.modules"
  mkdir -p "$work/both/lib"
  mv "$work/both.modules" "$work/both/lib/modules"
  cp -a "$work/add/usr/lib/modules/." "$work/both/lib/modules/"
  PATH=$PATH:/usr/sbin:/sbin depmod -b "$work/both" "$abi"
  cp "$work/both/lib/modules/$abi"/modules.* "$work/add/usr/lib/modules/$abi/"
  mkdir -p "$work/add/var/lib/dpkg"
  cp "$work/status" "$work/add/var/lib/dpkg/status"
fi
(cd "$work/add" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -1 >"$to/supplement.img"
