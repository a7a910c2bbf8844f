//! What an attribute is compared with.
//!
//! In: a node of a check file, and later what was found. Out: whether it holds. The words are Goss': a plain value must be
//! equal, a list must be contained, text is searched for substrings and `/expressions/`, and a map names a matcher.

use super::Problem;
use super::schema::Kind;
use super::yaml::{Node, What};
use regex_lite::Regex;
use std::fmt;

/// Something found on the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Whether something is so.
    Flag(bool),
    /// A count, size or id.
    Number(i64),
    /// One text.
    Text(String),
    /// Several.
    List(Vec<String>),
    /// Output or contents, searched line by line.
    Lines(String),
}

/// What is expected.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// This flag.
    Flag(bool),
    /// This number.
    Number(i64),
    /// This text.
    Text(String),
    /// A number above it.
    Above(i64),
    /// A number below it.
    Below(i64),
    /// A text that begins so.
    Prefix(String),
    /// A text that ends so.
    Suffix(String),
    /// A text in which this stands.
    Substring(String),
    /// A text in a line of which this is found.
    Expression(Regex),
    /// A list, or text, of so many elements or lines.
    Length(Box<Matcher>),
    /// A list of which one element holds.
    Element(Box<Matcher>),
    /// It does not hold.
    Not(Box<Matcher>),
    /// All hold.
    All(Vec<Matcher>),
    /// One holds.
    Any(Vec<Matcher>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Lines(text) if text.is_empty() => f.write_str("nothing"),
            Self::Lines(text) => write!(f, "{:?}", text.trim_end()),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |list: &[Matcher], word: &str| {
            list.iter().map(ToString::to_string).collect::<Vec<_>>().join(word)
        };
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Above(number) => write!(f, "more than {number}"),
            Self::Below(number) => write!(f, "less than {number}"),
            Self::Prefix(text) => write!(f, "something that begins {text:?}"),
            Self::Suffix(text) => write!(f, "something that ends {text:?}"),
            Self::Substring(text) => write!(f, "something with {text:?}"),
            Self::Expression(regex) => write!(f, "something like /{regex}/"),
            Self::Length(inner) => write!(f, "a length of {inner}"),
            Self::Element(inner) => write!(f, "one that is {inner}"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::All(list) if list.is_empty() => f.write_str("anything"),
            Self::All(list) => f.write_str(&joined(list, " and ")),
            Self::Any(list) => f.write_str(&joined(list, " or ")),
        }
    }
}

impl Matcher {
    /// Whether what was found is what is expected.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Not(inner), value) => !inner.holds(value),
            (Self::All(list), value) => list.iter().all(|matcher| matcher.holds(value)),
            (Self::Any(list), value) => list.iter().any(|matcher| matcher.holds(value)),
            (Self::Length(inner), value) => inner.holds(&Value::Number(length(value))),
            (Self::Element(inner), Value::List(list)) => {
                list.iter().any(|text| inner.holds(&Value::Text(text.clone())))
            }
            (Self::Element(inner), Value::Lines(text)) => {
                text.lines().any(|line| inner.holds(&Value::Text(line.to_owned())))
            }
            (Self::Flag(wanted), Value::Flag(found)) => wanted == found,
            (Self::Number(wanted), Value::Number(found)) => wanted == found,
            (Self::Above(limit), Value::Number(found)) => found > limit,
            (Self::Below(limit), Value::Number(found)) => found < limit,
            (Self::Text(wanted), Value::Text(found)) => wanted == found,
            (Self::Text(wanted), Value::Lines(found)) => wanted.trim_end() == found.trim_end(),
            (Self::Prefix(wanted), Value::Text(found) | Value::Lines(found)) => {
                found.starts_with(wanted.as_str())
            }
            (Self::Suffix(wanted), Value::Text(found) | Value::Lines(found)) => {
                found.trim_end().ends_with(wanted.as_str())
            }
            (Self::Substring(wanted), Value::Text(found) | Value::Lines(found)) => {
                found.contains(wanted.as_str())
            }
            (Self::Expression(regex), Value::Text(found)) => regex.is_match(found),
            (Self::Expression(regex), Value::Lines(found)) => found.lines().any(|line| regex.is_match(line)),
            _ => false,
        }
    }
}

fn length(value: &Value) -> i64 {
    let length = match value {
        Value::Flag(_) | Value::Number(_) => 1,
        Value::Text(text) => text.chars().count(),
        Value::List(list) => list.len(),
        Value::Lines(text) => text.lines().count(),
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Reads what an attribute of this kind is compared with.
pub(super) fn read(node: &Node, kind: Kind) -> Result<Matcher, Problem> {
    match &node.what {
        What::Map(map) => {
            let matchers: Result<Vec<_>, _> =
                map.iter().map(|(name, value)| named(name, value, kind)).collect();
            match matchers?.as_mut_slice() {
                [] => Err((node.line, "the map is empty; write what is expected".into())),
                [one] => Ok(std::mem::replace(one, Matcher::Flag(false))),
                many => Ok(Matcher::All(many.to_vec())),
            }
        }
        What::List(list) => match kind {
            Kind::List => {
                let element =
                    |node: &Node| read(node, Kind::Text).map(|matcher| Matcher::Element(Box::new(matcher)));
                list.iter().map(element).collect::<Result<_, _>>().map(Matcher::All)
            }
            Kind::Lines => list.iter().map(pattern).collect::<Result<_, _>>().map(Matcher::All),
            _ => Err((node.line, format!("{}, not a list", kind.wanted()))),
        },
        What::Scalar { text, quoted } => match kind {
            Kind::Flag => match (text.as_str(), quoted) {
                ("true", false) => Ok(Matcher::Flag(true)),
                ("false", false) => Ok(Matcher::Flag(false)),
                _ => Err((node.line, format!("{}, not `{text}`", kind.wanted()))),
            },
            Kind::Number => number(node).map(Matcher::Number),
            Kind::Mode => {
                mode(text).map(Matcher::Number).ok_or((node.line, format!("{}, not `{text}`", kind.wanted())))
            }
            Kind::Text => Ok(Matcher::Text(text.clone())),
            Kind::List => Ok(Matcher::Element(Box::new(Matcher::Text(text.clone())))),
            Kind::Lines if node.is_null() => Ok(Matcher::All(Vec::new())),
            Kind::Lines => pattern(node),
        },
    }
}

/// A matcher by its Goss name.
fn named(name: &Node, value: &Node, kind: Kind) -> Result<Matcher, Problem> {
    const NAMES: [&str; 14] = [
        "equal",
        "gt",
        "ge",
        "lt",
        "le",
        "have-prefix",
        "have-suffix",
        "contain-substring",
        "match-regexp",
        "contain-element",
        "have-len",
        "not",
        "and",
        "or",
    ];
    let text = || {
        value
            .text()
            .map(str::to_owned)
            .ok_or((value.line, format!("a text is wanted here, not {}", value.kind())))
    };
    let inner = |kind| read(value, kind).map(Box::new);
    let list = || match &value.what {
        What::List(list) => list.iter().map(|node| read(node, kind)).collect::<Result<Vec<_>, _>>(),
        _ => Err((value.line, format!("a list is wanted here, not {}", value.kind()))),
    };
    Ok(match name.text().unwrap_or_default() {
        "equal" => read(value, if kind == Kind::Lines { Kind::Text } else { kind })?,
        "gt" => Matcher::Above(number(value)?),
        "ge" => Matcher::Not(Box::new(Matcher::Below(number(value)?))),
        "lt" => Matcher::Below(number(value)?),
        "le" => Matcher::Not(Box::new(Matcher::Above(number(value)?))),
        "have-prefix" => Matcher::Prefix(text()?),
        "have-suffix" => Matcher::Suffix(text()?),
        "contain-substring" => Matcher::Substring(text()?),
        "match-regexp" => Matcher::Expression(expression(&text()?, value.line)?),
        "contain-element" => Matcher::Element(inner(Kind::Text)?),
        "have-len" => Matcher::Length(inner(Kind::Number)?),
        "not" => Matcher::Not(inner(kind)?),
        "and" => Matcher::All(list()?),
        "or" => Matcher::Any(list()?),
        other => return Err((name.line, super::schema::unknown("matcher", other, NAMES))),
    })
}

/// One entry of `contents`, `stdout`, `stderr` or `body`: `text`, `/expression/`, `!text`, `!/expression/`; a first `\`
/// takes the meaning from what follows it.
fn pattern(node: &Node) -> Result<Matcher, Problem> {
    if let What::Map(_) = node.what {
        return read(node, Kind::Lines);
    }
    let text = node.text().ok_or((node.line, format!("a text is wanted here, not {}", node.kind())))?;
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let matcher = match rest.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(inner) => Matcher::Expression(expression(inner, node.line)?),
        None => {
            let literal = rest.strip_prefix('\\').filter(|literal| literal.starts_with(['/', '!', '\\']));
            Matcher::Substring(literal.unwrap_or(rest).to_owned())
        }
    };
    Ok(if negated { Matcher::Not(Box::new(matcher)) } else { matcher })
}

fn expression(text: &str, line: usize) -> Result<Regex, Problem> {
    Regex::new(text).map_err(|error| (line, format!("`{text}` is not a regular expression: {error}")))
}

fn number(node: &Node) -> Result<i64, Problem> {
    let text = node.text().ok_or((node.line, format!("a number is wanted here, not {}", node.kind())))?;
    text.parse().map_err(|_| (node.line, format!("a whole number is wanted here, not `{text}`")))
}

/// `0644`, `"0644"`, `644`, `0o644`.
fn mode(text: &str) -> Option<i64> {
    i64::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8)
        .ok()
        .filter(|mode| (0..=0o7777).contains(mode))
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;
    use expect_test::{Expect, expect};

    fn matcher(text: &str, kind: Kind) -> Result<Matcher, Problem> {
        read(&yaml::read(text).expect("YAML").expect("a document"), kind)
    }

    fn check(text: &str, kind: Kind, value: &Value, expected: Expect) {
        expected.assert_eq(&match matcher(text, kind) {
            Ok(matcher) => format!("{matcher}: {}", matcher.holds(value)),
            Err((line, sentence)) => format!("line {line}: {sentence}"),
        });
    }

    #[test]
    fn plain_values_must_be_equal() {
        check("true", Kind::Flag, &Value::Flag(true), expect!["true: true"]);
        check("false", Kind::Flag, &Value::Flag(true), expect!["false: false"]);
        check("12", Kind::Number, &Value::Number(12), expect!["12: true"]);
        check("Linux", Kind::Text, &Value::Text("Linux".into()), expect![[r#""Linux": true"#]]);
        check(
            "yes",
            Kind::Flag,
            &Value::Flag(true),
            expect!["line 1: `true` or `false` is wanted here, not `yes`"],
        );
        check(
            "\"true\"",
            Kind::Flag,
            &Value::Flag(true),
            expect!["line 1: `true` or `false` is wanted here, not `true`"],
        );
        check(
            "1.5",
            Kind::Number,
            &Value::Number(1),
            expect!["line 1: a whole number is wanted here, not `1.5`"],
        );
        check(
            "[1]",
            Kind::Number,
            &Value::Number(1),
            expect!["line 1: a whole number is wanted here, not a list"],
        );
    }

    #[test]
    fn modes_are_octal_however_they_are_written() {
        for text in ["0644", "\"0644\"", "644", "0o644"] {
            assert!(matcher(text, Kind::Mode).expect(text).holds(&Value::Number(0o644)), "{text}");
        }
        check(
            "0999",
            Kind::Mode,
            &Value::Number(0),
            expect!["line 1: an octal mode such as \"0644\" is wanted here, not `0999`"],
        );
    }

    #[test]
    fn lists_must_be_contained() {
        let found = Value::List(vec!["rw".into(), "noatime".into()]);
        check("[rw]", Kind::List, &found, expect![[r#"one that is "rw": true"#]]);
        check("[rw, ro]", Kind::List, &found, expect![[r#"one that is "rw" and one that is "ro": false"#]]);
        check("rw", Kind::List, &found, expect![[r#"one that is "rw": true"#]]);
        check("[]", Kind::List, &found, expect!["anything: true"]);
        check("have-len: 2", Kind::List, &found, expect!["a length of 2: true"]);
        check("not: {contain-element: ro}", Kind::List, &found, expect![[r#"not one that is "ro": true"#]]);
    }

    #[test]
    fn text_is_searched() {
        let found = Value::Lines("PermitRootLogin no\n/etc/x\nport 22\n".into());
        check(
            "[PermitRoot, \"!yes\"]",
            Kind::Lines,
            &found,
            expect![[r#"something with "PermitRoot" and not something with "yes": true"#]],
        );
        check("['/^port \\d+$/']", Kind::Lines, &found, expect![[r"something like /^port \d+$/: true"]]);
        check("['!/^port/']", Kind::Lines, &found, expect!["not something like /^port/: false"]);
        check("['\\/etc/x']", Kind::Lines, &found, expect![[r#"something with "/etc/x": true"#]]);
        check(
            "['/(/']",
            Kind::Lines,
            &found,
            expect!["line 1: `(` is not a regular expression: found open group without closing ')'"],
        );
        check("~", Kind::Lines, &found, expect!["anything: true"]);
        check("[]", Kind::Lines, &Value::Lines(String::new()), expect!["anything: true"]);
    }

    #[test]
    fn maps_name_a_matcher() {
        check(
            "{gt: 3, le: 8}",
            Kind::Number,
            &Value::Number(8),
            expect!["more than 3 and not more than 8: true"],
        );
        check("{ge: 9}", Kind::Number, &Value::Number(8), expect!["not less than 9: false"]);
        check(
            "or: [Linux, BSD]",
            Kind::Text,
            &Value::Text("BSD".into()),
            expect![[r#""Linux" or "BSD": true"#]],
        );
        check(
            "have-prefix: Li",
            Kind::Text,
            &Value::Text("Linux".into()),
            expect![[r#"something that begins "Li": true"#]],
        );
        check(
            "match-regexp: '^6\\.'",
            Kind::Text,
            &Value::Text("6.1".into()),
            expect![[r"something like /^6\./: true"]],
        );
        check(
            "have-prefx: Li",
            Kind::Text,
            &Value::Text("x".into()),
            expect!["line 1: there is no matcher `have-prefx`; did you mean `have-prefix`?"],
        );
        check(
            "{}",
            Kind::Text,
            &Value::Text("x".into()),
            expect!["line 1: the map is empty; write what is expected"],
        );
    }

    #[test]
    fn kinds_that_do_not_fit_never_hold() {
        assert!(!Matcher::Flag(true).holds(&Value::Text("true".into())));
        assert!(!Matcher::Above(0).holds(&Value::Text("9".into())));
    }
}
