//! What is booted: the `image` blocks, and the texts that their templates are rendered from.
//!
//! In: a block, and the files of the design. Out: a table row, and a finding for what no machine could boot. What a template says is
//! not looked at here: `render` does that.

use crate::limits::{TEMPLATES_BYTES_MAX, TEMPLATES_MAX};
use crate::report::Report;
use crate::syntax::Block;
use crate::tables::{check_path, one_line};
use crate::value::{self, wrong_value};
use model::design::{Image, Template};
use model::finding::{Code, File, Finding, Source};

/// An `image` block.
pub(crate) fn read(report: &mut Report, block: &Block, name: String, files: &[File]) -> Image {
    let mut image = Image {
        name,
        kernel: String::new(),
        initrd: Vec::new(),
        args: String::new(),
        installs: false,
        templates: Vec::new(),
        source: block.head,
    };
    if let Some(kernel) = block.get("kernel").and_then(|attribute| value::text(report, attribute)) {
        check_path(report, &kernel);
        image.kernel = kernel.value;
    }
    for initrd in
        block.get("initrd").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        check_path(report, &initrd);
        image.initrd.push(initrd.value);
    }
    if let Some(args) = block.get("args").and_then(|attribute| value::text(report, attribute)) {
        one_line(report, "a kernel command line", &args);
        image.args = args.value;
    }
    if let Some(installs) = block.get("installs") {
        image.installs = value::boolean(report, installs).unwrap_or(false);
    }
    for template in block.all("template") {
        read_template(report, template, files, &mut image.templates);
    }
    image
}

/// A `template` block.
fn read_template(
    report: &mut Report,
    block: &Block,
    files: &[File],
    templates: &mut Vec<Template>,
) -> Option<()> {
    let name = block.labels.first()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(plain) {
        let sentence = format!("`{}` cannot be fetched as a name", name.value);
        let finding = Finding::error(Code::BadName, name.source, sentence);
        report.push(finding.help("use letters, digits, `-`, `_` and `.`, at most 64"));
    }
    if templates.iter().any(|template| template.name == name.value) {
        let sentence = format!("the image has a template `{}` already", name.value);
        report.push(Finding::error(Code::WrittenTwice, name.source, sentence));
    }
    if templates.len() >= TEMPLATES_MAX {
        wrong_value(report, name.source, format!("an image has at most {TEMPLATES_MAX} templates"));
        return None;
    }
    let file = block.get("file").and_then(|attribute| value::text(report, attribute));
    if let Some(file) = &file {
        check_path(report, file);
        let is_there = file.value.starts_with("zw/") || files.iter().any(|known| known.path == file.value);
        if !is_there {
            value::missing_file(report, file, files, &[".j2"]);
        } else if !file.value.starts_with("zw/") && !is_template(&file.value) {
            wrong_value(report, file.source, "the name of a template's file ends in `.j2`");
        }
    }
    let source = file.as_ref().map_or(name.source, |file| file.source);
    templates.push(Template { name: name.value.clone(), file: file.map(|file| file.value), source });
    Some(())
}

/// The texts that templates are rendered from.
pub(crate) fn texts(report: &mut Report, files: &[File]) -> Vec<File> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    for (index, file) in files.iter().enumerate().filter(|(_, file)| is_template(&file.path)) {
        bytes += file.text.len();
        if bytes > TEMPLATES_BYTES_MAX {
            // `FILES_MAX` is below 65,536.
            let place = Source { file: index as u16, start: 0, end: 0 };
            let most = TEMPLATES_BYTES_MAX >> 20;
            wrong_value(
                report,
                place,
                format!("templates up to this one have more than {most} MiB together"),
            );
            break;
        }
        texts.push(file.clone());
    }
    texts
}

fn is_template(path: &str) -> bool {
    path.ends_with(".j2")
}
