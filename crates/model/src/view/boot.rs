//! The part of the view that TFTP and HTTP boot are answered from: who asks, what it boots, which files there are.

use super::site::{FileId, Site};
use crate::design::DeviceKind;
use crate::ids::{DeviceId, ImageId};
use crate::mac::Mac;
use crate::plan::Plan;
use crate::time::Time;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Who boots what. At 100,000 machines some 10 MB: scripts are written when they are asked for, from these parts.
#[derive(Debug, Default)]
pub struct BootView {
    /// The installation.
    pub site: Arc<Site>,
    /// Every file that may be served, by name. A request is looked up here and nowhere else, so no path can leave it.
    pub files: HashMap<String, FileId>,
    /// The controllers' addresses, those of the site or else of the plan.
    pub controllers: Vec<IpAddr>,
    /// What each image of the design asks a boot loader to fetch, by [`ImageId`].
    pub images: Vec<BootImage>,
    /// What each device boots, by [`DeviceId`].
    pub boots: Vec<Boot>,
    /// What the ports of machines showed, by name, where a template may ask for it.
    pub seen: HashMap<DeviceId, Vec<(String, Mac)>>,
    /// Who asks.
    pub places: Arc<Places>,
}

/// Who asks, by address or by location: what follows from the plan alone, and is shared between its views.
#[derive(Debug, Default)]
pub struct Places {
    /// IPv4 addresses of machines' data interfaces, sorted.
    pub machines4: Vec<(Ipv4Addr, DeviceId)>,
    /// IPv6 addresses of machines' data interfaces, sorted.
    pub machines6: Vec<(Ipv6Addr, DeviceId)>,
    /// Devices of every kind, sorted by location.
    pub by_location: Vec<DeviceId>,
}

impl Places {
    /// The machine that has this address on a data interface. An IPv4 address written as IPv6 counts as IPv4.
    pub fn machine_at(&self, address: IpAddr) -> Option<DeviceId> {
        match address.to_canonical() {
            IpAddr::V4(address) => find(&self.machines4, address),
            IpAddr::V6(address) => find(&self.machines6, address),
        }
    }

    /// The machine at this location, written with its zone.
    pub fn machine_named(&self, plan: &Plan, location: &str) -> Option<DeviceId> {
        let of = |device: &DeviceId| &plan.design.devices[device.index()];
        let at =
            self.by_location.binary_search_by(|device| of(device).location.as_str().cmp(location)).ok()?;
        Some(self.by_location[at]).filter(|device| of(device).kind == DeviceKind::Machine)
    }
}

/// The second of the pair whose first is `key`, in a sorted list.
fn find<K: Ord + Copy>(sorted: &[(K, DeviceId)], key: K) -> Option<DeviceId> {
    let at = sorted.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    Some(sorted[at].1)
}

/// What a boot loader fetches for one image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootImage {
    /// The image's name.
    pub name: String,
    /// Path of the kernel, as in [`super::SiteFile::name`].
    pub kernel: String,
    /// Paths of the initial RAM disks.
    pub initrd: Vec<String>,
    /// The kernel command line of the design.
    pub args: String,
    /// [`crate::design::Image::mark`].
    pub mark: u64,
    /// A file of the image that the site does not have, nor anybody of the zone: nothing could boot it.
    pub missing: Option<String>,
}

/// What a device boots now, by plan and facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Boot {
    /// It is no machine.
    Nothing,
    /// Its own disk.
    LocalDisk,
    /// An image that writes no disk.
    Image(ImageId),
    /// An image that writes its disks, allowed until then; afterwards it is not armed.
    Installer {
        /// The image.
        image: ImageId,
        /// The end of the allowance.
        until: Time,
        /// There is a system on its disks, which is started afterwards.
        is_installed: bool,
    },
    /// An image that writes its disks, and nobody allowed that for this plan.
    NotArmed,
    /// Hands off: it waits until it is returned to service.
    Maintenance {
        /// Why, in the words of who asked.
        reason: Box<str>,
        /// Who asked.
        by: Box<str>,
    },
    /// Out of service: nothing is given to it.
    Retired,
}
