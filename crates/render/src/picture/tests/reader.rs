//! Reads our SVG as strictly as XML is written, and judges where its text stands.

use super::super::letters::{self, Face};
use std::collections::HashMap;

/// A start tag with its attributes, an end tag, or text.
#[derive(Debug)]
enum Piece {
    Start { name: String, attributes: HashMap<String, String>, is_empty: bool },
    End(String),
    Text(String),
}

/// The pieces of a document.
///
/// # Panics
/// If it is not well-formed, as far as our documents go: no comments, no sections, no declarations.
fn pieces(document: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = document;
    while !rest.is_empty() {
        if let Some(tag) = rest.strip_prefix('<') {
            let end = end_of_tag(tag);
            let (inside, after) = (&tag[..end], &tag[end + 1..]);
            rest = after;
            pieces.push(match inside.strip_prefix('/') {
                Some(name) => Piece::End(name.to_owned()),
                None => start(inside),
            });
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            pieces.push(Piece::Text(unescaped(&rest[..end])));
            rest = &rest[end..];
        }
    }
    pieces
}

fn end_of_tag(tag: &str) -> usize {
    let mut is_quoted = false;
    for (at, character) in tag.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '<' => panic!("a < within a tag: {}", &tag[..at]),
            '>' if !is_quoted => return at,
            _ => {}
        }
    }
    panic!("a tag without an end: {}", &tag[..tag.len().min(80)]);
}

fn start(inside: &str) -> Piece {
    let is_empty = inside.ends_with('/');
    let inside = inside.trim_end_matches('/');
    let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    assert!(!name.is_empty() && name.chars().all(|it| it.is_ascii_alphabetic()), "a tag named {name:?}");
    let mut attributes = HashMap::new();
    while !rest.is_empty() {
        let (key, value) =
            rest.split_once("=\"").unwrap_or_else(|| panic!("an attribute without a value: {rest}"));
        let (value, after) = value.split_once('"').unwrap_or_else(|| panic!("an open attribute: {rest}"));
        assert!(after.is_empty() || after.starts_with(' '), "attributes run into each other: {inside}");
        assert!(attributes.insert(key.to_owned(), unescaped(value)).is_none(), "{key} twice: {inside}");
        rest = after.trim_start();
    }
    Piece::Start { name: name.to_owned(), attributes, is_empty }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        let (entity, after) = rest[at + 1..].split_once(';').unwrap_or_else(|| panic!("a bare &: {rest}"));
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => panic!("&{entity}; is not an entity of XML"),
        });
        rest = after;
    }
    out + rest
}

/// The values of `data-…`, in the order of the document.
pub(super) fn values(document: &str, what: &str) -> Vec<String> {
    let key = format!(" data-{what}=\"");
    document.split(&key).skip(1).map(|rest| unescaped(rest.split('"').next().unwrap())).collect()
}

/// Each text that is shown: the `data-…` of the group that it is in (empty: of none), its size, its words.
pub(super) fn texts(document: &str, what: &str) -> Vec<(String, String, String)> {
    let key = format!("data-{what}");
    let mut open: Vec<(String, HashMap<String, String>)> = Vec::new();
    let mut texts = Vec::new();
    for piece in pieces(document) {
        match piece {
            Piece::Start { name, attributes, is_empty: false } => open.push((name, attributes)),
            Piece::Start { .. } => {}
            Piece::End(_) => drop(open.pop()),
            Piece::Text(words) => {
                if let Some((_, attributes)) = open.last().filter(|(name, _)| name == "text") {
                    let group = open.iter().find_map(|(_, attributes)| attributes.get(&key));
                    texts.push((group.cloned().unwrap_or_default(), attributes["font-size"].clone(), words));
                }
            }
        }
    }
    texts
}

/// Where a text stands: left, top, right, bottom.
#[derive(Debug)]
#[expect(dead_code, reason = "its words are for whoever reads why it failed")]
struct Box {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    words: String,
}

/// Judges a sheet: well-formed, its text within the sheet, none over another, rectangles within the sheet.
pub(super) fn check(name: &str, document: &str) {
    assert!(
        !document.chars().any(|it| it.is_control() && it != '\n'),
        "{name} has characters that XML does not have"
    );
    let mut open: Vec<String> = Vec::new();
    let mut sheet = (0.0, 0.0);
    let mut boxes: Vec<Box> = Vec::new();
    let mut text: Option<HashMap<String, String>> = None;
    for piece in pieces(document) {
        match piece {
            Piece::Start { name: tag, attributes, is_empty } => {
                let value =
                    |key: &str| attributes.get(key).map_or(0.0, |it| it.parse::<f64>().unwrap_or(f64::NAN));
                match tag.as_str() {
                    "svg" => {
                        let mm =
                            |key: &str| attributes[key].strip_suffix("mm").unwrap().parse::<f64>().unwrap();
                        sheet = (mm("width"), mm("height"));
                    }
                    "rect" if open.last().is_some_and(|it| it != "pattern") => {
                        let (right, bottom) = (value("x") + value("width"), value("y") + value("height"));
                        assert!(
                            value("x") >= 0.0
                                && value("y") >= 0.0
                                && right <= sheet.0 + 0.02
                                && bottom <= sheet.1 + 0.02,
                            "{name}: a rectangle leaves the sheet: {attributes:?}"
                        );
                    }
                    "text" => text = Some(attributes.clone()),
                    _ => {}
                }
                if !is_empty {
                    open.push(tag);
                }
            }
            Piece::End(tag) => {
                assert_eq!(open.pop().as_ref(), Some(&tag), "{name}: tags cross");
                if tag == "text" {
                    text = None;
                }
            }
            Piece::Text(words) => {
                // What is in a `title` within it is shown when it is pointed at.
                if let Some(attributes) = text.as_ref().filter(|_| open.last().is_some_and(|it| it == "text"))
                {
                    boxes.push(placed(attributes, words));
                }
            }
        }
    }
    assert!(open.is_empty(), "{name}: {open:?} is not closed");
    for it in &boxes {
        assert!(
            it.left >= 0.0 && it.top >= 0.0 && it.right <= sheet.0 && it.bottom <= sheet.1,
            "{name}: a text leaves the sheet: {it:?}"
        );
    }
    boxes.sort_by(|a, b| a.top.total_cmp(&b.top));
    for (at, a) in boxes.iter().enumerate() {
        for b in boxes[at + 1..].iter().take_while(|b| b.top < a.bottom - 0.01) {
            assert!(
                a.right <= b.left + 0.01 || b.right <= a.left + 0.01,
                "{name}: one text is over another: {a:?} {b:?}"
            );
        }
    }
}

fn placed(attributes: &HashMap<String, String>, words: String) -> Box {
    let value = |key: &str| attributes[key].parse::<f64>().unwrap();
    let class = attributes.get("class").map_or("", String::as_str);
    let face = match class.split(' ').next() {
        Some("m") => Face::Mono,
        Some("b") => Face::Bold,
        _ => Face::Sans,
    };
    let (x, y, size) = (value("x"), value("y"), value("font-size"));
    let long = letters::width(&words, face) * size;
    let before = match attributes.get("text-anchor").map(String::as_str) {
        Some("middle") => long / 2.0,
        Some("end") => long,
        _ => 0.0,
    };
    // From the top of a capital with its accent to the foot of a `g`.
    let (above, below) = (size * 0.78, size * 0.24);
    if attributes.contains_key("transform") {
        return Box { left: x - above, right: x + below, top: y - long + before, bottom: y + before, words };
    }
    Box { left: x - before, right: x - before + long, top: y - above, bottom: y + below, words }
}

#[test]
#[should_panic(expected = "one text is over another")]
fn a_text_over_another_is_seen() {
    check(
        "x",
        "<svg width=\"100mm\" height=\"50mm\"><text x=\"5\" y=\"9\" font-size=\"3\">long words</text><text x=\"9\" y=\"10\" font-size=\"3\">over them</text></svg>",
    );
}

#[test]
#[should_panic(expected = "leaves the sheet")]
fn a_text_outside_is_seen() {
    check(
        "x",
        "<svg width=\"20mm\" height=\"50mm\"><text x=\"5\" y=\"9\" font-size=\"3\">long words</text></svg>",
    );
}

#[test]
#[should_panic(expected = "tags cross")]
fn what_is_not_xml_is_seen() {
    check("x", "<svg width=\"20mm\" height=\"50mm\"><g><rect x=\"1\"></g></svg>");
}
