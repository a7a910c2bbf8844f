//! Naming templates (`hv-{pod}-{rack}-{unit}`) and identity templates (`{name}:{port}`, `hex:0004{vlan:2}{port:1}`).

use crate::arithmetic::{Numbers, Variable};
use crate::limits::TEMPLATE_MAX;
use crate::report::Report;
use crate::syntax::Spanned;
use model::design::{IdPart, IdTemplate};
use model::finding::{Code, Finding};

/// A field of a naming template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    Zone,
    Pod,
    Rack,
    Unit,
    Label,
    Number,
}

impl Field {
    fn word(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Pod => "pod",
            Self::Rack => "rack",
            Self::Unit => "unit",
            Self::Label => "label",
            Self::Number => "number",
        }
    }
}

/// The labels at one place, as text. `unit` is the device's own label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a> {
    pub(crate) zone: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) rack: &'a str,
    pub(crate) label: &'a str,
    pub(crate) number: u32,
}

/// A naming template, read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Naming {
    parts: Vec<NamePart>,
}

#[derive(Clone, PartialEq, Debug)]
enum NamePart {
    Text(String),
    Field(Field),
}

impl Naming {
    /// How long the name is: a zone has many, and each is kept. A number may be shorter than is reckoned.
    fn length(&self, labels: Labels<'_>) -> usize {
        let of_part = |part: &NamePart| match part {
            NamePart::Text(text) => text.len(),
            NamePart::Field(Field::Zone) => labels.zone.len(),
            NamePart::Field(Field::Pod) => labels.pod.len(),
            NamePart::Field(Field::Rack) => labels.rack.len(),
            NamePart::Field(Field::Unit | Field::Label) => labels.label.len(),
            NamePart::Field(Field::Number) => 10,
        };
        self.parts.iter().map(of_part).sum()
    }

    /// The name at one place.
    pub(crate) fn at(&self, labels: Labels<'_>) -> String {
        let mut name = String::with_capacity(self.length(labels));
        for part in &self.parts {
            match part {
                NamePart::Text(text) => name.push_str(text),
                NamePart::Field(Field::Zone) => name.push_str(labels.zone),
                NamePart::Field(Field::Pod) => name.push_str(labels.pod),
                NamePart::Field(Field::Rack) => name.push_str(labels.rack),
                NamePart::Field(Field::Unit | Field::Label) => name.push_str(labels.label),
                NamePart::Field(Field::Number) => name.push_str(&labels.number.to_string()),
            }
        }
        name
    }
}

/// Reads a naming template; `fields` are those that have a value where it stands.
pub(crate) fn naming(report: &mut Report, template: &Spanned<String>, fields: &[Field]) -> Option<Naming> {
    let pieces = pieces(report, template)?;
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        parts.push(match piece {
            Piece::Text(text) => NamePart::Text(text.to_string()),
            Piece::Field(word) => match fields.iter().find(|field| field.word() == word) {
                Some(field) => NamePart::Field(*field),
                None => {
                    unknown_field(report, template, word, fields.iter().map(|field| field.word()));
                    return None;
                }
            },
        });
    }
    Some(Naming { parts })
}

/// A template of a port's name, whose fields are numbers: `Ethernet1/{unit}`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PortNaming {
    parts: Vec<PortPart>,
}

#[derive(Clone, PartialEq, Debug)]
enum PortPart {
    Text(String),
    Number(Variable),
}

impl PortNaming {
    /// The port's name at one place.
    pub(crate) fn at(&self, numbers: Numbers) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                PortPart::Text(text) => name.push_str(text),
                PortPart::Number(Variable::Pod) => name.push_str(&numbers.pod.to_string()),
                PortPart::Number(Variable::Rack) => name.push_str(&numbers.rack.to_string()),
                PortPart::Number(_) => name.push_str(&numbers.number.to_string()),
            }
        }
        name
    }
}

/// Reads a template of a port's name.
pub(crate) fn port_naming(
    report: &mut Report,
    template: &Spanned<String>,
    variables: &[Variable],
) -> Option<PortNaming> {
    let pieces = pieces(report, template)?;
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        parts.push(match piece {
            Piece::Text(text) => PortPart::Text(text.to_string()),
            Piece::Field(word) => match variables.iter().find(|variable| variable.word() == word) {
                Some(variable) => PortPart::Number(*variable),
                None => {
                    unknown_field(report, template, word, variables.iter().map(|variable| variable.word()));
                    return None;
                }
            },
        });
    }
    Some(PortNaming { parts })
}

fn unknown_field<'a>(
    report: &mut Report,
    template: &Spanned<String>,
    word: &str,
    known: impl Iterator<Item = &'a str>,
) {
    let known: Vec<String> = known.map(|word| format!("`{{{word}}}`")).collect();
    report.push(
        Finding::error(Code::BadTemplate, template.source, format!("there is no field `{{{word}}}` here"))
            .help(format!("fields here are {}", known.join(", "))),
    );
}

enum Piece<'a> {
    Text(&'a str),
    Field(&'a str),
}

fn pieces<'a>(report: &mut Report, template: &'a Spanned<String>) -> Option<Vec<Piece<'a>>> {
    if template.value.len() > TEMPLATE_MAX {
        let sentence =
            format!("a template has at most {TEMPLATE_MAX} bytes, and this has {}", template.value.len());
        report.push(Finding::error(Code::BadTemplate, template.source, sentence));
        return None;
    }
    let mut pieces = Vec::new();
    let mut rest = template.value.as_str();
    while let Some(open) = rest.find(['{', '}']) {
        let close = rest[open..].find('}').filter(|_| rest.as_bytes()[open] == b'{');
        let Some(length) = close else {
            let sentence = "a brace in this template has no other half";
            report.push(
                Finding::error(Code::BadTemplate, template.source, sentence)
                    .help("a field is a word in braces, as in `{pod}`"),
            );
            return None;
        };
        if open > 0 {
            pieces.push(Piece::Text(&rest[..open]));
        }
        pieces.push(Piece::Field(&rest[open + 1..open + length]));
        rest = &rest[open + length + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

/// Reads an identity template: what a switch model's relay writes in Option 82.
pub(crate) fn identity(report: &mut Report, template: &Spanned<String>) -> Option<IdTemplate> {
    let hexadecimal = template.value.strip_prefix("hex:");
    let text = hexadecimal.unwrap_or(&template.value).to_string();
    let body = Spanned { value: text, source: template.source };
    let mut parts: Vec<IdPart> = Vec::new();
    for piece in pieces(report, &body)? {
        let part = match piece {
            Piece::Text(text) if hexadecimal.is_some() => hex_bytes(text).map(IdPart::Bytes),
            Piece::Text(text) => Ok(IdPart::Bytes(text.as_bytes().to_vec())),
            Piece::Field(field) => identity_field(field, hexadecimal.is_some()),
        };
        match part {
            Ok(part) => parts.push(part),
            Err(sentence) => {
                let known = "fields are `{port}`, `{port_number}`, `{name}`, `{location}`, `{vlan}`; after `hex:` \
                             also `{port:1}`, `{port+3:2}`, `{vlan:2}` with a width of 1, 2 or 4 octets";
                report.push(Finding::error(Code::BadTemplate, template.source, sentence).help(known));
                return None;
            }
        }
    }
    if parts.is_empty() {
        report.push(Finding::error(Code::BadTemplate, template.source, "an identity cannot be empty"));
        return None;
    }
    Some(IdTemplate { parts })
}

fn identity_field(field: &str, binary: bool) -> Result<IdPart, String> {
    let unknown = || format!("there is no field `{{{field}}}` in an identity");
    match field {
        "port" => return Ok(IdPart::PortName),
        "port_number" => return Ok(IdPart::PortNumber),
        "name" | "hostname" => return Ok(IdPart::Name),
        "location" => return Ok(IdPart::Location),
        "vlan" => return Ok(IdPart::Vlan),
        _ => {}
    }
    let (what, width) = field.split_once(':').ok_or_else(unknown)?;
    if !binary {
        return Err(format!("`{{{field}}}` is binary, and stands only after `hex:`"));
    }
    let octets = match width {
        "1" => 1,
        "2" => 2,
        "4" => 4,
        _ => return Err(format!("`{{{field}}}` has a width that is not 1, 2 or 4")),
    };
    if what == "vlan" {
        return Ok(IdPart::VlanBinary { octets });
    }
    let add = what.strip_prefix("port").ok_or_else(unknown)?;
    let signed = add.is_empty() || add.starts_with(['+', '-']);
    let add: i32 = if add.is_empty() { 0 } else { add.parse().map_err(|_| unknown())? };
    if !signed || add.unsigned_abs() > 65_535 {
        return Err(unknown());
    }
    Ok(IdPart::PortNumberBinary { octets, add })
}

fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ':'))
        .map(|c| c.to_digit(16).ok_or_else(|| format!("`{c}` is no hexadecimal digit")))
        .collect::<Result<_, _>>()?;
    if digits.len() % 2 == 1 {
        return Err(format!("`{text}` has an odd number of hexadecimal digits"));
    }
    // Two digits below 16 make a byte.
    Ok(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}
