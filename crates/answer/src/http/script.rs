//! Which boot script a machine gets: the decision is the view's, the words are `render`'s.

use model::event::What;
use model::ids::{DeviceId, ImageId};
use model::view::{Boot, BootImage};
use model::{Generation, Reason, Refusal, Time, View};
use std::net::IpAddr;

/// A script for one machine.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Script {
    /// The script.
    pub text: String,
    /// Whose.
    pub machine: DeviceId,
    /// What is told of it, if it boots an image (and not the own disk, nor makes the machine wait).
    pub tells: Option<What>,
    /// Why the machine does not get what it would boot, if so.
    pub refused: Option<Reason>,
}

/// How a loader is told what to do.
struct Words {
    boot: fn(&render::ipxe::Machine<'_>, Generation, &[u8; 32], &BootImage) -> String,
    local_disk: fn(&str) -> String,
    hold: fn(&render::ipxe::Machine<'_>, &str) -> String,
    pass_on: fn(&render::ipxe::Machine<'_>, &str) -> String,
}

/// The boot loader that a script is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loader {
    Ipxe,
    /// iPXE that was itself fetched by HTTPS.
    IpxeByHttps,
    Grub,
}

/// The script that a client asks for as `auto` or by a location.
pub(crate) fn script(
    view: &View,
    name: &str,
    client: IpAddr,
    loader: Loader,
    now: Time,
) -> Result<Script, Refusal> {
    // By location only to the machine itself: a script tells where a machine is in its life, and fetching it counts
    // as a step of that life.
    let own = view.boot.places.machine_at(client);
    let machine = match name {
        "auto" => own.ok_or(Reason::NotAllowed)?,
        location => {
            let named = view.boot.places.machine_named(&view.plan, location).ok_or(Reason::NotServed)?;
            if own != Some(named) {
                return Err(Reason::NotAllowed.into());
            }
            named
        }
    };
    let location = view.plan.design.devices[machine.index()].location.as_str();
    let [controllers, near] = servers(view, client);
    let is_secure = loader == Loader::IpxeByHttps;
    let ports = view.boot.site.ports;
    let speak = render::ipxe::Machine { location, controllers: &controllers, near: &near, ports, is_secure };
    let script = |text, refused| Script { text, machine, tells: None, refused };
    let Words { boot, local_disk, hold, pass_on } = match loader {
        Loader::Ipxe | Loader::IpxeByHttps => Words {
            boot: render::ipxe::boot,
            local_disk: render::ipxe::local_disk,
            hold: render::ipxe::hold,
            pass_on: render::ipxe::pass_on,
        },
        Loader::Grub => Words {
            boot: |machine, _, ca_sha256, image| render::grub::boot(machine, ca_sha256, image),
            local_disk: render::grub::local_disk,
            hold: render::grub::hold,
            pass_on: render::grub::pass_on,
        },
    };
    // What an edge lacks, a controller may have: it may have told of a plan and not yet of its files.
    let without = if near.is_empty() { hold } else { pass_on };
    let hold = |why: &str, reason| Ok(script(hold(&speak, why), Some(reason)));
    let image = |image: ImageId| {
        let image = &view.boot.images[image.index()];
        if let Some(missing) = &image.missing {
            let text = without(&speak, &format!("the server lacks {missing}"));
            return Ok(script(text, Some(Reason::NotServed)));
        }
        let text = boot(&speak, view.generation, &view.boot.site.ca_sha256, image);
        let tells = What::ScriptFetched { generation: view.generation, image: Some(image.mark) };
        Ok(Script { tells: Some(tells), ..script(text, None) })
    };
    match &view.boot.boots[machine.index()] {
        Boot::Nothing => Err(Reason::NotServed.into()),
        Boot::Retired => Err(Reason::Retired.into()),
        Boot::LocalDisk => Ok(script(local_disk(location), None)),
        Boot::Image(which) => image(*which),
        Boot::Installer { image: which, until, .. } if now < *until => image(*which),
        // Nobody brought it to its installer in time: it goes on as it was.
        Boot::Installer { is_installed: true, .. } => Ok(script(local_disk(location), None)),
        Boot::Installer { .. } => hold("its permission to write its disks ran out", Reason::NotArmed),
        Boot::NotArmed => hold("it is not armed to write its disks", Reason::NotArmed),
        Boot::Maintenance { reason, by } => {
            hold(&format!("in maintenance by {by}: {reason}"), Reason::NotAllowed)
        }
    }
}

/// The script that leads iPXE, fetched by HTTPS, to its machine's script by HTTPS.
pub(crate) fn autoexec(view: &View, client: IpAddr) -> Result<Script, Refusal> {
    let machine = view.boot.places.machine_at(client).ok_or(Reason::NotAllowed)?;
    let location = view.plan.design.devices[machine.index()].location.as_str();
    let [controllers, near] = servers(view, client);
    let ports = view.boot.site.ports;
    let speak =
        render::ipxe::Machine { location, controllers: &controllers, near: &near, ports, is_secure: true };
    Ok(Script { text: render::ipxe::autoexec(&speak), machine, tells: None, refused: None })
}

/// The controllers that a client can reach, and who is nearer: those of its address family.
pub(super) fn servers(view: &View, client: IpAddr) -> [Vec<IpAddr>; 2] {
    let is_v4 = client.to_canonical().is_ipv4();
    [&view.boot.controllers, &view.boot.site.own]
        .map(|addresses| addresses.iter().copied().filter(|address| address.is_ipv4() == is_v4).collect())
}
