//! An order, from its first check to the seal. Everything here blocks; it has a thread of its own.

use super::devices::{self, Device, Kernel};
use super::esp::{self, Esp, Seal};
use super::grub::{self, Environment};
use super::root::Root;
use super::running::Here;
use super::{download, files, gpt, layout, volumes};
use crate::trust;
use api::image::{File as ImageFile, Manifest};
use api::install::{Disks, Order, Progress, Slot};
use nix::mount::MsFlags;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where everything is mounted meanwhile.
const WORK: &str = "/run/zonewright-install";
/// What the installer has of GRUB.
const GRUB: &str = "/usr/lib/zonewright/grub";
/// The longest file of GRUB that is read.
const GRUB_MAX: u64 = 16 << 20;
/// The longest texts of all files of an order together.
const FILES_MAX: usize = 1 << 20;
/// Progress is told this often while octets flow.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// What of a running system belongs to the machine, and goes with it into the other slot; beside the agent's state.
const KEPT: [&str; 3] = ["/etc/machine-id", "/etc/ssh/ssh_host_", "/etc/adjtime"];

/// Hears how far it is.
pub(super) type Tell<'a> = dyn Fn(Progress) + 'a;

/// Carries out an order. Gives the slot that holds the system.
pub(super) fn carry_out(order: &Order, here: &Here, state: &Path, tell: &Tell<'_>) -> Result<Slot, String> {
    grub::boot(Slot::A, 0, 0, &order.arguments)?;
    if order.files.iter().map(|file| file.text.len()).sum::<usize>() > FILES_MAX {
        return Err("the order's files are too long".into());
    }
    leave(Path::new(WORK))?;
    let work = Work { order, state, tell, step: RefCell::default() };
    let outcome = match (&order.disks, here) {
        (Some(disks), Here::Memory) => work.disks(disks),
        (Some(_), _) => {
            Err("disks are written by an installer in memory alone, and this is none: boot the installer"
                .into())
        }
        (None, Here::Disk(disk)) if disk.on_trial() => Err(format!(
            "slot {} is on trial: it must be confirmed before the other slot is written",
            disk.slot.letter()
        )),
        (None, Here::Disk(disk)) => work.other_slot(disk.slot, disk.esp),
        (None, _) => {
            Err("no slot of ours runs here, so there is no other one to write: install the machine first"
                .into())
        }
    };
    let left = leave(Path::new(WORK));
    outcome.and_then(|slot| left.map(|()| slot))
}

/// Unmounts what an attempt before this one left mounted.
fn leave(work: &Path) -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("failed to read what is mounted: {error}"))?;
    let points = mounts.lines().rev().filter_map(|line| line.split(' ').nth(4));
    points.map(Path::new).filter(|point| point.starts_with(work)).for_each(esp::unmount);
    Ok(())
}

struct Work<'a> {
    order: &'a Order,
    state: &'a Path,
    tell: &'a Tell<'a>,
    step: RefCell<Step>,
}

/// What is told, and when last.
#[derive(Default)]
struct Step {
    progress: Option<Progress>,
    told: Option<(Instant, u64)>,
}

impl Work<'_> {
    fn step(&self, step: &str) {
        let mut now = self.step.borrow_mut();
        let before = now.progress.take();
        let (done_bytes, total_bytes) =
            before.map_or((0, 0), |before| (before.done_bytes, before.total_bytes));
        let progress = Progress { step: step.to_owned(), done_bytes, total_bytes, bytes_per_second: 0 };
        now.progress = Some(progress.clone());
        (self.tell)(progress);
    }

    /// Told once a second, or when something went wrong on the way.
    fn octets(&self, step: &str, done_bytes: u64, total_bytes: u64, problem: Option<&str>) {
        let mut now = self.step.borrow_mut();
        let (since, before) = *now.told.get_or_insert_with(|| (Instant::now(), done_bytes));
        let elapsed = since.elapsed();
        if elapsed < TELL_EVERY && problem.is_none() && done_bytes != total_bytes {
            return;
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let bytes_per_second = done_bytes.saturating_sub(before).saturating_mul(1000) / millis;
        let step = problem.map_or_else(|| step.to_owned(), |problem| format!("{step}; {problem}"));
        let progress = Progress { step, done_bytes, total_bytes, bytes_per_second };
        now.told = Some((Instant::now(), done_bytes));
        now.progress = Some(progress.clone());
        (self.tell)(progress);
    }

    fn seal(&self) -> Seal {
        Seal {
            generation: self.order.generation,
            allowed_at: self.order.allowed_at,
            image: self.order.image.digest.clone(),
            trial_seconds: self.order.trial_seconds,
        }
    }

    /// All disks anew. Until the first `wipe` nothing is written.
    fn disks(&self, disks: &Disks) -> Result<Slot, String> {
        let slot = Slot::A;
        self.step("checks the disks");
        if !super::running::is_in_memory() {
            return Err("this system does not live in memory: boot the installer".into());
        }
        layout::judge(disks)?;
        let (boot, core, uefi) = (grub_file("boot.img")?, grub_file("core.img")?, grub_file("grubx64.efi")?);
        let kernel = Kernel::now()?;
        let find = |disk| kernel.find(disk, Path::new(WORK));
        let devices: Vec<Device> = disks.system.iter().map(find).collect::<Result<_, _>>()?;
        let place = |device: &Device| layout::partitions(device.block, device.blocks, disks.esp_bytes);
        let places: Vec<_> = devices.iter().map(place).collect::<Result<_, _>>()?;
        if devices.iter().all(|device| self.is_sealed(device, slot)) {
            return Ok(slot);
        }
        self.step("fetches the manifest");
        let (manifest, archive) = download::manifest(&self.order.image)?;

        self.step("clears the disks");
        volumes::take_down(&kernel, &devices)?;
        let mut opened: Vec<File> = devices.iter().map(devices::open).collect::<Result<_, _>>()?;
        for ((file, device), place) in opened.iter_mut().zip(&devices).zip(&places) {
            devices::wipe(file, device, &[place.bios, place.esp, place.rest])?;
        }
        self.step("makes partitions");
        for ((file, device), place) in opened.iter_mut().zip(&devices).zip(&places) {
            let table = partition_table(device, place, disks.raid.is_some());
            let backup_at = device.blocks * device.block - table.backup.len() as u64;
            devices::write_at(file, device, backup_at, &table.backup)?;
            devices::write_at(file, device, 0, &table.primary)?;
            devices::read_partitions(file, device, 3)?;
        }
        // Partitions are not opened while somebody has the whole.
        drop(opened);
        self.step("makes volumes");
        let id = u32::try_from(trust::random() >> 32).unwrap_or(1).max(1);
        devices.iter().try_for_each(|device| volumes::fat(&device.partition(2), id))?;
        let base = volumes::base(disks, &devices, &kernel.sys)?;
        volumes::group(disks, &base)?;

        let fstab = files::fstab(slot, id, &disks.volumes);
        let root = self.root(slot, &fstab, None, &manifest, &archive)?;
        let esps: Vec<PathBuf> = devices.iter().map(|device| device.partition(2)).collect();
        self.kernel(slot, id, &manifest, &root, &esps)?;
        self.step("writes the boot loader");
        for ((device, place), esp) in devices.iter().zip(&places).zip(&esps) {
            let esp = Esp::mount(esp, Path::new(WORK), MsFlags::empty())?;
            esp.write("zw/grub.cfg", &mut grub::CONFIG.as_bytes())?;
            esp.set_environment(Environment { good: Some(slot), trial: None })?;
            esp.write("EFI/BOOT/BOOTX64.EFI", &mut &uefi[..])?;
            // No BIOS starts from a disk with other blocks.
            if device.block == 512 {
                self.boot_record(device, place.bios, &boot, &core)?;
            }
        }
        self.sealed(slot, &esps)?;
        Ok(slot)
    }

    /// Whether this very order was carried out on a disk before.
    fn is_sealed(&self, device: &Device, slot: Slot) -> bool {
        let partition = device.partition(2);
        partition.exists()
            && Esp::mount(&partition, Path::new(WORK), MsFlags::MS_RDONLY)
                .is_ok_and(|esp| esp.seal(slot) == Some(self.seal()))
    }

    fn boot_record(
        &self,
        device: &Device,
        place: (u64, u64),
        boot: &[u8],
        core: &[u8],
    ) -> Result<(), String> {
        let path = device.path();
        let failed = |error: io::Error| format!("failed to open {}: {error}", path.display());
        let mut file = File::options().read(true).write(true).open(&path).map_err(failed)?;
        let mut record = [0; 512];
        io::Read::read_exact(&mut file, &mut record).map_err(failed)?;
        let core = grub::for_bios(&mut record, boot, core, place)?;
        devices::write_at(&mut file, device, place.0 * device.block, &core)?;
        devices::write_at(&mut file, device, 0, &record)
    }

    /// The slot that does not run.
    fn other_slot(&self, running: Slot, id: u32) -> Result<Slot, String> {
        let slot = running.other();
        let device = grub::device(&grub::volume(slot));
        if !Path::new(&device).exists() {
            return Err("this machine has one slot: it is upgraded by installing it anew".into());
        }
        let esps = esp::with_id(id);
        if esps.is_empty() {
            return Err("no efi system partition of this system was found".into());
        }
        let mount = |esp: &PathBuf| Esp::mount(esp, Path::new(WORK), MsFlags::empty());
        let environment = |trial: Option<Slot>| {
            let set = |esp: &PathBuf| mount(esp)?.set_environment(Environment { good: Some(running), trial });
            esps.iter().try_for_each(set)
        };
        self.step("checks the slots");
        let mut is_sealed = true;
        for esp in &esps {
            is_sealed &= mount(esp)?.seal(slot) == Some(self.seal());
        }
        if !is_sealed {
            self.step("fetches the manifest");
            let (manifest, archive) = download::manifest(&self.order.image)?;
            environment(None)?;
            esps.iter().try_for_each(|esp| mount(esp)?.clear(slot))?;
            let fstab = fs::read_to_string("/etc/fstab").unwrap_or_default();
            let fstab = files::fstab_for_upgrade(&fstab, slot);
            let root = self.root(slot, &fstab, Some(Path::new("/")), &manifest, &archive)?;
            self.kernel(slot, id, &manifest, &root, &esps)?;
            self.sealed(slot, &esps)?;
        }
        // On all: nobody knows from which disk firmware starts next. Each clears its own before it starts the trial.
        environment(Some(slot))?;
        Ok(slot)
    }

    /// Makes a slot's root. It is mounted read-only afterwards: what is read from it comes from the disk. `from`: the system that the
    /// machine has, if it has one.
    fn root(
        &self,
        slot: Slot,
        fstab: &str,
        from: Option<&Path>,
        manifest: &Manifest,
        archive: &ImageFile,
    ) -> Result<Root, String> {
        let volume = grub::volume(slot);
        let (device, at) = (PathBuf::from(grub::device(&volume)), Path::new(WORK).join("root"));
        self.step(&format!("makes the file system of {volume}"));
        volumes::ext4(&device.display().to_string(), &volume)?;
        esp::mount_at(&device, &at, "ext4", MsFlags::empty(), None)?;
        let root = Root::open(&at).map_err(|error| format!("failed to open the new root: {error}"))?;
        let failed = |what: &str, error: io::Error| format!("failed to write {what} to {volume}: {error}");

        let writes = format!("writes {volume}");
        let heard = |done: u64, problem: Option<&str>| self.octets(&writes, done, archive.size, problem);
        heard(0, None);
        let mut proved = download::archive(&self.order.image, archive, &heard);
        let mut decoder = zstd::Decoder::new(&mut proved).map_err(|error| failed("the image", error))?;
        root.unpack(&mut decoder).map_err(|error| failed("the image", error))?;
        // What stands behind the archive's end is proved, too.
        io::copy(&mut decoder, &mut io::sink()).map_err(|error| failed("the image", error))?;
        drop(decoder);

        self.step(&format!("writes the machine's own files to {volume}"));
        self.own_files(&root, fstab, from).map_err(|(name, error)| failed(&name, error))?;
        root.sync().map_err(|error| failed("everything", error))?;
        drop(root);
        esp::unmount(&at);
        esp::mount_at(&device, &at, "ext4", MsFlags::MS_RDONLY, None)?;
        let root = Root::open(&at).map_err(|error| format!("failed to open the new root: {error}"))?;
        for name in kernel_files(manifest) {
            root.read(&name).map_err(|error| format!("the image has no {name}, build it anew: {error}"))?;
        }
        Ok(root)
    }

    fn own_files(&self, root: &Root, fstab: &str, from: Option<&Path>) -> Result<(), (String, io::Error)> {
        let put = |path: &str, mode: u32, content: &mut dyn io::Read| {
            root.put(path, mode, content).map_err(|error| (path.to_owned(), error))
        };
        let open = |path: &Path| File::open(path).map_err(|error| (path.display().to_string(), error));
        for file in &self.order.files {
            put(&file.path, file.mode & 0o777, &mut file.text.as_bytes())?;
        }
        put("/etc/fstab", 0o644, &mut fstab.as_bytes())?;
        for point in files::mount_points(fstab) {
            root.directory(&point, 0o755).map_err(|error| (point, error))?;
        }
        put(files::AGENT, 0o755, &mut open(Path::new("/proc/self/exe"))?)?;
        put(files::UNIT, 0o644, &mut files::SERVICE.as_bytes())?;
        put(files::TRIAL_UNIT, 0o644, &mut files::trial_unit().as_bytes())?;
        put(files::TRIAL_TIMER, 0o644, &mut files::trial_timer(self.order.trial_seconds).as_bytes())?;
        for (link, target) in [files::WANTED, files::TRIAL_WANTED] {
            root.link(link, target).map_err(|error| (link.to_owned(), error))?;
        }

        let state = crate::ramdisk::state_dir(false).display().to_string();
        root.directory(&state, 0o700).map_err(|error| (state.clone(), error))?;
        for name in ["identity.json", "orders.json"] {
            let path = self.state.join(name);
            // Without orders it begins by asking for them; without a key it would enrol anew.
            if path.exists() {
                put(&format!("{state}/{name}"), 0o600, &mut open(&path)?)?;
            }
        }
        for path in from.map(kept).unwrap_or_default() {
            let mode = fs::metadata(&path)
                .map(|metadata| std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()));
            let mode = mode.map_err(|error| (path.clone(), error))?;
            put(&path, mode & 0o777, &mut open(Path::new(&path))?)?;
        }
        Ok(())
    }

    /// Copies a slot's kernel to all EFI system partitions, and proves that it is there. Nothing names it yet.
    fn kernel(
        &self,
        slot: Slot,
        id: u32,
        manifest: &Manifest,
        root: &Root,
        esps: &[PathBuf],
    ) -> Result<(), String> {
        self.step("copies the kernel");
        let limit = files::trial_limit(self.order.trial_seconds);
        let boot = grub::boot(slot, id, limit, &self.order.arguments)?;
        let letter = slot.letter();
        let sources = kernel_files(manifest).into_iter().zip(["vmlinuz", "initrd"]);
        let copies: Vec<(String, String)> =
            sources.map(|(from, to)| (from, format!("{letter}/{to}"))).collect();
        let open = |name: &str| {
            root.read(name).map_err(|error| format!("failed to read {name} of the new root: {error}"))
        };
        for device in esps {
            let esp = Esp::mount(device, Path::new(WORK), MsFlags::empty())?;
            esp.clear(slot)?;
            for (from, to) in &copies {
                esp.write(to, &mut open(from)?)?;
            }
            esp.write(&format!("{letter}/boot.cfg"), &mut boot.as_bytes())?;
        }
        self.step("proves the kernel");
        for (from, to) in &copies {
            let wanted =
                esp::digest(&mut open(from)?).map_err(|error| format!("failed to read {from}: {error}"))?;
            for device in esps {
                // Mounted anew, it comes from the disk and from no memory.
                let esp = Esp::mount(device, Path::new(WORK), MsFlags::MS_RDONLY)?;
                if esp.digest(to)? != wanted {
                    return Err(format!(
                        "{} reads other octets than were written to it: replace the disk",
                        device.display()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Says that a slot is whole.
    fn sealed(&self, slot: Slot, esps: &[PathBuf]) -> Result<(), String> {
        self.step("seals the system");
        let seal =
            serde_json::to_vec(&self.seal()).map_err(|error| format!("failed to write the seal: {error}"))?;
        let name = format!("{}/slot.json", slot.letter());
        esps.iter().try_for_each(|esp| {
            Esp::mount(esp, Path::new(WORK), MsFlags::empty())?.write(&name, &mut &seal[..])
        })
    }
}

fn partition_table(device: &Device, place: &layout::Partitions, is_raid: bool) -> gpt::Table {
    let random = || gpt::guid([trust::random(), trust::random()]);
    let rest = if is_raid { gpt::RAID } else { gpt::LVM };
    let kinds = [
        (gpt::BIOS_BOOT, place.bios, "BIOS boot"),
        (gpt::ESP, place.esp, "EFI system"),
        (rest, place.rest, "zonewright"),
    ];
    let partitions =
        kinds.map(|(kind, (first, last), name)| gpt::Partition { kind, id: random(), first, last, name });
    gpt::table(random(), device.block, device.blocks, &partitions)
}

/// Where a system's kernel and its initial RAM disk are.
fn kernel_files(manifest: &Manifest) -> [String; 2] {
    [format!("/boot/vmlinuz-{}", manifest.kernel), format!("/boot/initrd.img-{}", manifest.kernel)]
}

fn grub_file(name: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(GRUB).join(name);
    let failed = |error: io::Error| {
        format!("failed to read {}, which an installer has: build it anew: {error}", path.display())
    };
    if fs::metadata(&path).map_err(failed)?.len() > GRUB_MAX {
        return Err(format!("{} is too long", path.display()));
    }
    fs::read(&path).map_err(failed)
}

/// What there is of [`KEPT`] below a root.
fn kept(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in KEPT {
        let (directory, prefix) = path.rsplit_once('/').unwrap_or(("", path));
        let entries =
            fs::read_dir(root.join(directory.trim_start_matches('/'))).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let is_kept =
            |name: &String| if prefix.ends_with('_') { name.starts_with(prefix) } else { name == prefix };
        found.extend(names.filter(is_kept).map(|name| format!("{directory}/{name}")));
    }
    found.sort();
    found
}
