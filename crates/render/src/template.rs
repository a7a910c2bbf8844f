//! Templates of images (Jinja), rendered for one machine: what distributions' installers are told.
//!
//! In: the plan, who asks, and the texts of the design's templates beside our own. Out: one text, or where and why it failed. A
//! template reads the tree of [`tree`] and nothing else: no file, no clock, no other machine, nothing secret. What is
//! not there is an error, and so is a value that is empty; steps, depth and length of the output are bounded. What is not bounded is
//! the memory for a value on the way, which a template that doubles a text forty times would use up: who writes the design is trusted that far
//! (docs/internals/templates.md says what was tried).

mod check;
mod tree;

pub use check::findings;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use model::design::{Design, Image};
use model::view::Ports;
use model::{DeviceId, Mac, Plan};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// Octets of one rendered text; a kickstart file with all its scripts has some tens of thousands.
const OUTPUT_MAX: usize = 512 << 10;
/// Instructions of one rendering: a hundred times those of our longest.
const STEPS_MAX: u64 = 200_000;
/// Templates, macros and loops within one another.
const DEPTH_MAX: usize = 64;
/// What the names of our own templates begin with.
const OURS: &str = "zw/";

macro_rules! ours {
    ($($name:literal)*) => {
        /// Our own templates, by the name that they are served as.
        const TEXTS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../templates/", $name, ".j2"))),)*];
    };
}

ours! {
    "agent.sh"
    "autoinstall"
    "cloud-config"
    "config.ign"
    "ks.cfg"
    "meta-data"
    "network-config"
    "preseed.cfg"
    "user-data"
}

/// The machine that a text is for, and who speaks to it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The machine.
    pub device: DeviceId,
    /// What its ports showed, by name; a port that was not seen is not there.
    pub seen: &'a [(String, Mac)],
    /// The controllers, all of one address family; at least one.
    pub controllers: &'a [IpAddr],
    /// Who is nearer, an edge.
    pub near: &'a [IpAddr],
    /// Their ports.
    pub ports: Ports,
    /// The pin of the authority that agents trust.
    pub ca_sha256: &'a [u8; 32],
    /// The digest of the agent, if the controllers have one to give.
    pub agent_sha256: Option<&'a [u8; 32]>,
    /// The URL of the HTTP proxy for packages.
    pub proxy: Option<&'a str>,
}

/// Why there is no text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The template it failed in, as `file` or `include` name it.
    pub template: String,
    /// The line there, from 1; 0 if it is none in particular.
    pub line: usize,
    /// What is wrong, a sentence.
    pub sentence: String,
}

/// The text that an image's machine gets as `name`; `None` if the image has no such template.
///
/// # Errors
/// A [`Failure`].
pub fn text(asking: &Asking<'_>, image: &Image, name: &str) -> Option<Result<String, Failure>> {
    let template = image.templates.iter().find(|template| template.name == name)?;
    let path = path_of(template);
    let environment = environment(&asking.plan.design);
    let tree = Value::from(Serde(tree::tree(asking, image)));
    Some(rendered(&environment, &path, tree).map_err(|error| failure(&path, &error)))
}

/// What a template is rendered from, as `include` names it.
fn path_of(template: &model::design::Template) -> String {
    template.file.clone().unwrap_or_else(|| format!("{OURS}{}", template.name))
}

fn rendered(environment: &Environment<'_>, path: &str, tree: Value) -> Result<String, Error> {
    let mut page = Page(Vec::new());
    environment.get_template(path)?.render_captured_to(tree, &mut page)?;
    // It was written piece by piece from texts.
    String::from_utf8(page.0).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is no text"))
}

/// What is written so far.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0.len() + octets.len() > OUTPUT_MAX {
            return Err(io::Error::other(format!("the text is longer than {} KiB", OUTPUT_MAX >> 10)));
        }
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment(design: &Arc<Design>) -> Environment<'static> {
    let mut environment = Environment::new();
    let design = Arc::clone(design);
    environment.set_loader(move |name| {
        if let Some(name) = name.strip_prefix(OURS) {
            return Ok(TEXTS.iter().find(|(ours, _)| *ours == name).map(|(_, text)| (*text).to_owned()));
        }
        Ok(design.templates.iter().find(|file| file.path == name).map(|file| file.text.to_string()))
    });
    // A block's line leaves nothing behind; whoever includes a file says whether a line ends after it.
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The names of files say nothing about how values must be written: the filters do.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(STEPS_MAX));
    environment.set_recursion_limit(DEPTH_MAX);
    environment.remove_global("debug");
    environment.set_formatter(|output, state, value| match value.is_none() {
        true => Err(Error::new(
            ErrorKind::InvalidOperation,
            "there is no value for this machine; ask for it with `if`, or write `or` and another",
        )),
        false => minijinja::escape_formatter(output, state, value),
    });
    environment.add_function("fail", |sentence: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, sentence))
    });
    environment.add_filter("shell", |text: String| shell(&text));
    environment.add_filter("urlencode", |text: String| crate::ipxe::in_url(&text));
    environment
}

/// A text as one word of a POSIX shell.
fn shell(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The innermost template that an error came from.
fn failure(path: &str, error: &Error) -> Failure {
    let mut found = Failure { template: path.to_owned(), line: 0, sentence: String::new() };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        cause = error.source();
        let Some(error) = error.downcast_ref::<Error>() else {
            found.sentence = error.to_string();
            continue;
        };
        if let Some(name) = error.name() {
            found.template = name.to_owned();
            found.line = error.line().unwrap_or_default();
        }
        found.sentence = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
    }
    found
}

#[cfg(test)]
mod tests;
