//! Attributes read as what they should be; anything else is a finding that says what was expected and what stands there.

use crate::report::Report;
use crate::size;
use crate::syntax::{Attribute, Expression, Kind, Spanned, Step};
use model::finding::{Code, File, Finding, Source};
use std::ops::RangeInclusive;

/// Pushes "`key` takes …, not …".
pub(crate) fn wrong_type(report: &mut Report, key: &str, wanted: &str, value: &Expression) {
    if !matches!(value.kind, Kind::Invalid) {
        let sentence = format!("`{key}` takes {wanted}, not {}", described(value));
        report.push(Finding::error(Code::WrongType, value.source, sentence));
    }
}

/// Pushes a finding about a value of the right type that cannot be used.
pub(crate) fn wrong_value(report: &mut Report, source: Source, sentence: impl Into<String>) {
    report.push(Finding::error(Code::WrongValue, source, sentence));
}

fn described(value: &Expression) -> &'static str {
    match &value.kind {
        Kind::Null => "null",
        Kind::Bool(_) => "true or false",
        Kind::Integer(_) => "a number",
        Kind::Fraction => "a fraction",
        Kind::Text(_) => "text",
        Kind::List(_) => "a list",
        Kind::Object(_) => "an object",
        Kind::Path(_, steps) if steps.is_empty() => "a bare word",
        Kind::Path(..) => "a path",
        _ => "an expression",
    }
}

/// Text.
pub(crate) fn text(report: &mut Report, attribute: &Attribute) -> Option<Spanned<String>> {
    text_of(report, &attribute.key.value, &attribute.value)
}

/// Text, of an expression that stands for `key`.
pub(crate) fn text_of(report: &mut Report, key: &str, value: &Expression) -> Option<Spanned<String>> {
    match &value.kind {
        Kind::Text(text) => Some(Spanned { value: text.clone(), source: value.source }),
        Kind::Path(word, steps) if steps.is_empty() => {
            let sentence = format!("`{key}` takes text, not a bare word");
            let finding = Finding::error(Code::WrongType, value.source, sentence);
            report.push(finding.help(format!("write `\"{word}\"`")));
            None
        }
        _ => {
            wrong_type(report, key, "text", value);
            None
        }
    }
}

/// One text, or a list of them.
pub(crate) fn texts(report: &mut Report, attribute: &Attribute) -> Option<Vec<Spanned<String>>> {
    let key = &attribute.key.value;
    match &attribute.value.kind {
        Kind::List(items) => items.iter().map(|item| text_of(report, key, item)).collect(),
        Kind::Text(_) => Some(vec![text(report, attribute)?]),
        _ => {
            wrong_type(report, key, "text or a list of texts", &attribute.value);
            None
        }
    }
}

/// An integer within `range`.
pub(crate) fn integer(report: &mut Report, attribute: &Attribute, range: RangeInclusive<i64>) -> Option<i64> {
    let Kind::Integer(value) = attribute.value.kind else {
        wrong_type(report, &attribute.key.value, "a whole number", &attribute.value);
        return None;
    };
    if !range.contains(&value) {
        let sentence =
            format!("`{}` is {value}, outside {} to {}", attribute.key.value, range.start(), range.end());
        wrong_value(report, attribute.value.source, sentence);
        return None;
    }
    Some(value)
}

/// Octets, more than none, from text such as `20GiB`.
pub(crate) fn bytes(report: &mut Report, attribute: &Attribute) -> Option<Spanned<u64>> {
    let text = text(report, attribute)?;
    let bytes = size::bytes(&text.value).filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        let sentence = format!("`{}` is not a size such as `512GiB` or `1.9TB`", text.value);
        wrong_value(report, text.source, sentence);
    }
    bytes.map(|value| Spanned { value, source: text.source })
}

/// Pushes "there is no file …", with the nearest of those that end in one of `endings`.
pub(crate) fn missing_file(report: &mut Report, path: &Spanned<String>, files: &[File], endings: &[&str]) {
    let known = files.iter().map(|file| file.path.as_str());
    let known = known.filter(|known| endings.iter().any(|ending| known.ends_with(ending)));
    let sentence = format!("there is no file `{}` in the design", path.value);
    report.push(Finding::error(Code::MissingFile, path.source, sentence).did_you_mean(&path.value, known));
}

/// True or false.
pub(crate) fn boolean(report: &mut Report, attribute: &Attribute) -> Option<bool> {
    match attribute.value.kind {
        Kind::Bool(value) => Some(value),
        _ => {
            wrong_type(report, &attribute.key.value, "true or false", &attribute.value);
            None
        }
    }
}

/// An object with no keys but `known`.
pub(crate) fn object<'a>(
    report: &mut Report,
    attribute: &'a Attribute,
    known: &[&str],
) -> Option<&'a [Attribute]> {
    object_of(report, &attribute.key.value, &attribute.value, known)
}

/// An object with no keys but `known`, of an expression that stands for `key`.
pub(crate) fn object_of<'a>(
    report: &mut Report,
    key: &str,
    value: &'a Expression,
    known: &[&str],
) -> Option<&'a [Attribute]> {
    let entries = entries_of(report, key, value)?;
    for entry in entries {
        let written = entry.key.value.as_str();
        if !known.contains(&written) {
            let sentence = format!("`{key}` has no attribute `{written}`");
            let finding = Finding::error(Code::UnknownKey, entry.key.source, sentence);
            report.push(finding.did_you_mean(written, known.iter().copied()));
        }
    }
    Some(entries)
}

/// An object whose keys the design chooses.
pub(crate) fn entries<'a>(report: &mut Report, attribute: &'a Attribute) -> Option<&'a [Attribute]> {
    entries_of(report, &attribute.key.value, &attribute.value)
}

fn entries_of<'a>(report: &mut Report, key: &str, value: &'a Expression) -> Option<&'a [Attribute]> {
    match &value.kind {
        Kind::Object(entries) => Some(entries),
        _ => {
            wrong_type(report, key, "an object `{ … }`", value);
            None
        }
    }
}

/// `image.kvm` or `"kvm"`: the name of something of kind `root`.
pub(crate) fn reference(
    report: &mut Report,
    key: &str,
    value: &Expression,
    root: &str,
) -> Option<Spanned<String>> {
    match &value.kind {
        Kind::Text(name) => Some(Spanned { value: name.clone(), source: value.source }),
        Kind::Path(word, steps) if word == root => match &steps[..] {
            [Step::Word(name)] => Some(Spanned { value: name.value.clone(), source: value.source }),
            [Step::Index(Expression { kind: Kind::Text(name), .. })] => {
                Some(Spanned { value: name.clone(), source: value.source })
            }
            _ => {
                wrong_type(report, key, &format!("the name of one {root}, `{root}.name`"), value);
                None
            }
        },
        _ => {
            wrong_type(report, key, &format!("`{root}.name` or `\"name\"`"), value);
            None
        }
    }
}

/// Pushes "there is no … of this name".
pub(crate) fn unknown_name<'a>(
    report: &mut Report,
    source: Source,
    what: &str,
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) {
    let finding = Finding::error(Code::UnknownName, source, format!("there is no {what} `{written}`"));
    let finding = if report.may_suggest() { finding.did_you_mean(written, known) } else { finding };
    report.push(finding);
}
