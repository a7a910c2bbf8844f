//! YAML text to a tree of nodes that know their lines.
//!
//! In: text. Out: one document as scalars, lists and maps, or problems. Scalars keep their text: what `0644` or `yes` means is
//! for the reader of an attribute to say, so that none of YAML's guesses is in the way. Anchors, aliases, tags and more
//! than one document are refused: a check file needs none of them, and they make small texts large.

use super::{Problem, TEXT_MAX};
use saphyr_parser::{Event, Parser, ScalarStyle};

/// Nodes within nodes.
const DEPTH_MAX: usize = 16;

/// Nodes in one document.
const NODES_MAX: usize = 20_000;

/// A node and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    /// From 1.
    pub line: usize,
    pub what: What,
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    /// A scalar. `quoted` is one that was written in quotes or as a block: always text.
    Scalar { text: String, quoted: bool },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text. Keys are scalars, each there once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// In people's words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.what {
            What::Scalar { .. } => "a single value",
            What::List(_) => "a list",
            What::Map(_) => "a map",
        }
    }

    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.what {
            What::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Nothing was written: YAML's null.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.what, What::Scalar { text, quoted: false } if text.is_empty() || text == "~" || text == "null")
    }
}

/// Reads a document; `None` if the text holds none.
pub(super) fn read(text: &str) -> Result<Option<Node>, Problem> {
    if text.len() > TEXT_MAX {
        return Err((1, format!("the file has {} octets; {TEXT_MAX} are read", text.len())));
    }
    // A carriage return alone ends a line too (YAML 1.2.2 §5.4).
    let lines = text.replace("\r\n", "\n").trim_end_matches(['\n', '\r']).matches(['\n', '\r']).count() + 1;
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0, lines };
    let mut document = None;
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::DocumentStart(_) if document.is_some() => {
                return Err((line, "there is a second document; write all checks in one".into()));
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => document = Some(reader.node(event, line, 0)?),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
    /// Of the text, without empty ones at its end. The parser counts one more when it meets the end too early.
    lines: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line().clamp(1, self.lines))),
            Some(Err(error)) => Err((
                error.marker().line().clamp(1, self.lines),
                format!("this is not YAML: {}", error.info()),
            )),
            None => Ok((Event::StreamEnd, self.lines)),
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((line, format!("there are more than {NODES_MAX} values in the file")));
        }
        if depth > DEPTH_MAX {
            return Err((line, format!("values are nested more than {DEPTH_MAX} deep")));
        }
        let plain = |anchor, tagged| match (anchor, tagged) {
            (0, false) => Ok(()),
            (0, true) => {
                Err((line, "tags (`!`) are not used here; quote the value if it is text".to_owned()))
            }
            _ => Err((line, "anchors (`&`) are not used here; write the value out".to_owned())),
        };
        let what = match event {
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                What::Scalar { text: text.into_owned(), quoted: style != ScalarStyle::Plain }
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break What::List(list),
                        (event, line) => list.push(self.node(event, line, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.map(depth)?
            }
            Event::Alias(_) => {
                return Err((line, "aliases (`*`) are not used here; write the value out".into()));
            }
            _ => return Err((line, "the document ends within a value".into())),
        };
        Ok(Node { line, what })
    }

    fn map(&mut self, depth: usize) -> Result<What, Problem> {
        let mut map: Vec<(Node, Node)> = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(What::Map(map));
            }
            let key = self.node(event, line, depth + 1)?;
            let Some(name) = key.text() else {
                return Err((line, format!("a key is a single value, not {}", key.kind())));
            };
            if let Some((first, _)) = map.iter().find(|(known, _)| known.text() == Some(name)) {
                return Err((line, format!("`{name}` is written twice; first in line {}", first.line)));
            }
            let (event, line) = self.next()?;
            let value = self.node(event, line, depth + 1)?;
            map.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn shown(node: &Node) -> String {
        match &node.what {
            What::Scalar { text, quoted: true } => format!("{text:?}"),
            What::Scalar { text, quoted: false } => text.clone(),
            What::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
            What::Map(map) => {
                let rows: Vec<_> = map
                    .iter()
                    .map(|(key, value)| format!("{}@{}: {}", shown(key), key.line, shown(value)))
                    .collect();
                format!("{{{}}}", rows.join(", "))
            }
        }
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match read(text) {
            Ok(Some(node)) => shown(&node),
            Ok(None) => "nothing".into(),
            Err((line, sentence)) => format!("line {line}: {sentence}"),
        });
    }

    #[test]
    fn scalars_keep_their_text_and_keys_their_lines() {
        check(
            "file:\n  /etc/passwd:\n    mode: 0644\n    exists: true\n    contents: [a, \"b\"]\n",
            expect![[r#"{file@1: {/etc/passwd@2: {mode@3: 0644, exists@4: true, contents@5: [a, "b"]}}}"#]],
        );
        check("a: |\n  x\n  y\n", expect![[r#"{a@1: "x\ny\n"}"#]]);
        check("", expect!["nothing"]);
        check("# only words\n", expect!["nothing"]);
        check("a:\n", expect!["{a@1: }"]);
    }

    #[test]
    fn what_is_refused_is_named_with_its_line() {
        check("a: 1\nb: 2\na: 3\n", expect!["line 3: `a` is written twice; first in line 1"]);
        check("a: &x 1\nb: *x\n", expect!["line 1: anchors (`&`) are not used here; write the value out"]);
        check("a: !!str 1\n", expect!["line 1: tags (`!`) are not used here; quote the value if it is text"]);
        check("a: 1\n---\nb: 2\n", expect!["line 2: there is a second document; write all checks in one"]);
        check("? [a]\n: 1\n", expect!["line 1: a key is a single value, not a list"]);
        check(&"[".repeat(40), expect!["line 1: values are nested more than 16 deep"]);
        check("a:\n  b: c\nx", expect!["line 3: this is not YAML: simple key expected"]);
        check(
            "a: \"b\n",
            expect![
                "line 1: this is not YAML: while scanning a quoted scalar, found unexpected end of stream"
            ],
        );
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(read(&"x".repeat(TEXT_MAX + 1)).is_err());
        assert!(
            read(&format!("[{}]", "1,".repeat(NODES_MAX + 1)))
                .is_err_and(|(_, sentence)| sentence.contains("20000"))
        );
    }
}
