# After all is installed. The overlay is unpacked by the system's own tar inside it: no link leads out of there.
set -e
rm -r "$1/zw-packages"
chroot "$1" tar --extract --file /zw-overlay.tar --directory / --no-overwrite-dir --keep-directory-symlink
rm "$1/zw-overlay.tar"
chroot "$1" systemctl enable systemd-networkd.service ssh-host-keys.service
chroot "$1" update-initramfs -c -k "$ZW_KERNEL"
