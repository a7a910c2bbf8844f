//! Templates of the image that a machine boots, and the word of a distribution's installer that it is done.
//!
//! The machine is known by its address, and gets what was rendered for itself alone: what it says depends on who asks, not on the
//! path. Who boots nothing, or nothing that is allowed, gets none.

use super::{Body, Method, Reply, Request, reply, text_headers};
use model::design::Image;
use model::event::What;
use model::view::{Boot, SiteFile};
use model::{DeviceId, Reason, Refusal, View};
use render::template::Asking;

/// Where an installer says that it is done.
pub(super) const DONE: &str = "boot/installed";

/// A template, rendered.
pub(super) fn send(
    view: &View,
    name: &str,
    request: &Request<'_>,
    machine: DeviceId,
) -> Result<Reply, Refusal> {
    let image = image(view, machine)?;
    let [controllers, near] = super::script::servers(view, request.client);
    let site = &view.boot.site;
    let agent = view.boot.files.get(SiteFile::AGENT).and_then(|file| site.file(*file).sha256.as_ref());
    // An edge that has not fetched the agent yet: without it, a system would be installed that nobody hears of.
    if agent.is_none() && site.elsewhere.iter().any(|name| name == SiteFile::AGENT) {
        return Err(Reason::TooMany.into());
    }
    let asking = Asking {
        plan: &view.plan,
        device: machine,
        seen: view.boot.seen.get(&machine).map(Vec::as_slice).unwrap_or_default(),
        controllers: &controllers,
        near: &near,
        ports: site.ports,
        ca_sha256: &site.ca_sha256,
        agent_sha256: agent,
        proxy: site.proxy.as_deref(),
    };
    let (status, text, refused) =
        match render::template::text(&asking, image, name).ok_or(Reason::NotServed)? {
            Ok(text) => (200, text, None),
            // Not "not found": an installer would go on without, and ask its questions.
            Err(failure) => {
                let words = format!("{}:{}: {}", failure.template, failure.line, failure.sentence);
                let words: String = words.chars().filter(|letter| !letter.is_control()).collect();
                (500, format!("zonewright: {words}\n"), Some(Reason::BadTemplate))
            }
        };
    let headers = text_headers(&text);
    let body = if request.method == Method::Get { Body::Text(text) } else { Body::Empty };
    Ok(Reply { body, refused, ..reply(status, headers, Some(machine)) })
}

/// What the machine boots now.
fn image(view: &View, machine: DeviceId) -> Result<&Image, Reason> {
    match &view.boot.boots[machine.index()] {
        Boot::Image(image) | Boot::Installer { image, .. } => Ok(&view.plan.design.images[image.index()]),
        Boot::NotArmed => Err(Reason::NotArmed),
        Boot::Retired => Err(Reason::Retired),
        Boot::Nothing => Err(Reason::NotServed),
        Boot::LocalDisk | Boot::Maintenance { .. } => Err(Reason::NotAllowed),
    }
}

/// Its installer says that it is done. Whether one was under way is for `lifecycle` to say.
pub(super) fn done(view: &View, machine: DeviceId) -> Result<Reply, Refusal> {
    let Boot::Installer { .. } = &view.boot.boots[machine.index()] else {
        return Err(Reason::NotArmed.into());
    };
    let text = "zonewright: it boots its own disk from here on\n".to_owned();
    let headers = text_headers(&text);
    let tells = Some(What::Installed { generation: view.generation, image: None, slot: None });
    Ok(Reply { body: Body::Text(text), tells, ..reply(200, headers, Some(machine)) })
}
