//! What is wrong with the templates of a design, found before a machine asks: every file is read, and every template of every
//! image is rendered once for a machine of each role that boots it.

use super::{Asking, Failure, OURS, TEXTS, environment, failure, path_of, text};
use model::design::{Audience, DeviceKind};
use model::finding::{Code, File, Finding, Source};
use model::ids::{ImageId, RoleId};
use model::view::Ports;
use model::{DeviceId, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Texts that are rendered for one look at a design; each takes less than a millisecond.
const RENDERED_MAX: usize = 1024;

/// Everything that is wrong with the templates of `plan`, which was compiled from `files`.
pub fn findings(files: &[File], plan: &Plan) -> Vec<Finding> {
    let design = &plan.design;
    let mut wrong = BTreeMap::new();
    let environment = environment(design);
    for file in &design.templates {
        if let Err(error) = environment.get_template(&file.path) {
            note(&mut wrong, files, failure(&file.path, &error), None, "");
        }
    }
    for template in design.images.iter().flat_map(|image| &image.templates) {
        let path = path_of(template);
        let ours = path.strip_prefix(OURS);
        if ours.is_some_and(|name| TEXTS.iter().all(|(known, _)| *known != name)) {
            let names: Vec<String> = TEXTS.iter().map(|(name, _)| format!("`{OURS}{name}`")).collect();
            let sentence = format!("there is no template `{path}` of Zonewright's own");
            let finding = Finding::error(Code::MissingFile, template.source, sentence);
            let help = format!(
                "write `file = \"templates/x.j2\"`, a file of the design, or one of {}",
                names.join(", ")
            );
            wrong.insert((template.source, 0, String::new()), finding.help(help));
        }
    }
    if !wrong.is_empty() {
        return wrong.into_values().collect();
    }
    let controllers = controllers(plan);
    for (image, device) in booting(plan) {
        let image = &design.images[image.index()];
        let asking = Asking {
            plan,
            device,
            seen: &[],
            controllers: &controllers,
            near: &[],
            ports: Ports::default(),
            ca_sha256: &[0; 32],
            agent_sha256: Some(&[0; 32]),
            proxy: None,
        };
        for template in &image.templates {
            let Some(Err(failure)) = text(&asking, image, &template.name) else { continue };
            let location = design.devices[device.index()].location.as_str();
            let about = format!(" (as `{}`, for {location})", template.name);
            note(&mut wrong, files, failure, Some(template.source), &about);
        }
    }
    wrong.into_values().collect()
}

type Wrong = BTreeMap<(Source, usize, String), Finding>;

/// Keeps a failure, once for each place: at its line, or, if it is in a template of ours, where the design asks for that.
fn note(wrong: &mut Wrong, files: &[File], failure: Failure, asked: Option<Source>, about: &str) {
    let Failure { template, line, sentence } = failure;
    let found = files.iter().position(|file| file.path == template);
    let source = found.map(|index| line_of(index, &files[index].text, line));
    let within = if source.is_none() { format!("{template}:{line}: ") } else { String::new() };
    let source = source.or(asked).unwrap_or_default();
    wrong.entry((source, line, sentence.clone())).or_insert_with(|| {
        let finding = Finding::error(Code::BadImageTemplate, source, format!("{within}{sentence}{about}"));
        match asked.filter(|asked| *asked != source) {
            Some(asked) => finding.related(asked, "asked for here"),
            None => finding,
        }
    });
}

/// Line `number`, from 1, of the file at `index`, without the space around it.
fn line_of(index: usize, text: &str, number: usize) -> Source {
    let before: usize = text.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
    let line = text[before..].split('\n').next().unwrap_or_default();
    let start = before + line.len() - line.trim_start().len();
    // Files of a design and their sizes are bounded far below these types by `design`.
    Source { file: index as u16, start: start as u32, end: (start + line.trim().len()) as u32 }
}

/// One machine of each role that boots an image with templates, in the order of the drawing.
fn booting(plan: &Plan) -> Vec<(ImageId, DeviceId)> {
    let design = &plan.design;
    let mut roles: BTreeSet<RoleId> = BTreeSet::new();
    let (mut found, mut texts) = (Vec::new(), 0);
    for (index, device) in design.devices.iter().enumerate() {
        let Some(role) = device.role.filter(|_| device.kind == DeviceKind::Machine) else { continue };
        let Some(image) = design.roles[role.index()].boot else { continue };
        let templates = design.images[image.index()].templates.len();
        if templates > 0 && texts + templates <= RENDERED_MAX && roles.insert(role) {
            texts += templates;
            found.push((image, DeviceId::from_index(index)));
        }
    }
    found
}

/// The zone's controllers of one family; where nothing is drawn, an address of documentation (RFC 5737).
fn controllers(plan: &Plan) -> Vec<IpAddr> {
    let drawn = || plan.interfaces.iter().filter(|interface| interface.audience == Audience::Controller);
    let v4: Vec<IpAddr> = drawn().filter_map(|interface| interface.v4).map(IpAddr::V4).collect();
    let v6: Vec<IpAddr> = drawn().filter_map(|interface| interface.v6).map(IpAddr::V6).collect();
    match (v4.is_empty(), v6.is_empty()) {
        (false, _) => v4,
        (true, false) => v6,
        (true, true) => vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
    }
}
