//! HCL text as blocks, attributes and expressions, each with its place.
//!
//! In: one file. Out: what of it could be read, and a finding for each part that could not. This is the only file
//! that touches the HCL parser; what it hands on is our own tree, of the declared subset: no functions, no `for`,
//! no `${}`.

use crate::limits::NESTING_MAX;
use crate::report::Report;
use crate::scan::scan;
use hcl_edit::Span;
use hcl_edit::expr::{BinaryOperator, Expression as Hcl, ObjectKey, TraversalOperator, UnaryOperator};
use hcl_edit::structure::{BlockLabel, Structure};
use model::finding::{Code, File, Finding, Source};
use std::ops::Range;

/// A value and where it is written.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

/// `kind "label" … { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: Spanned<String>,
    pub(crate) labels: Vec<Spanned<String>>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
    /// Kind and labels: what a finding about the block as a whole marks.
    pub(crate) head: Source,
}

impl Block {
    /// An attribute by its key.
    pub(crate) fn get(&self, key: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.key.value == key)
    }

    /// Blocks within, of one kind.
    pub(crate) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> + 'a {
        self.blocks.iter().filter(move |block| block.kind.value == kind)
    }
}

/// `key = value`, in a block or in an object.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) key: Spanned<String>,
    pub(crate) value: Expression,
}

/// An expression and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) kind: Kind,
    pub(crate) source: Source,
}

/// The expressions of the design language.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no integer: nothing in the language takes one.
    Fraction,
    Text(String),
    List(Vec<Expression>),
    Object(Vec<Attribute>),
    /// `image.kvm`, `leaf.a.swp[unit]`, `unit`: a word and steps from it.
    Path(String, Vec<Step>),
    Negative(Box<Expression>),
    Not(Box<Expression>),
    Binary(Box<Expression>, Operator, Box<Expression>),
    Choice(Box<[Expression; 3]>),
    /// Something outside the language; its finding is already given.
    Invalid,
}

/// A step of a path.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `.word` or `.0`.
    Word(Spanned<String>),
    /// `[expression]`.
    Index(Expression),
}

/// An operator between two expressions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// Reads one file. What cannot be read is a finding, and the rest is still read.
pub(crate) fn read(index: u16, file: &File, report: &mut Report) -> Block {
    let mut whole = Block {
        kind: Spanned { value: String::new(), source: Source { file: index, start: 0, end: 0 } },
        labels: Vec::new(),
        attributes: Vec::new(),
        blocks: Vec::new(),
        head: Source { file: index, start: 0, end: 0 },
    };
    let scan = scan(&file.text);
    for fault in scan.faults {
        let place = source(index, 0, &fault.place);
        let mut finding = Finding::error(Code::Syntax, place, fault.sentence);
        if let Some((place, words)) = fault.related {
            finding = finding.related(source(index, 0, &place), words);
        }
        if let Some(help) = fault.help {
            finding = finding.help(help);
        }
        report.push_unreadable(finding);
    }
    for chunk in scan.chunks {
        let text = &file.text[chunk.clone()];
        match hcl_edit::parser::parse_body(text) {
            Ok(body) => {
                let mut lowering = Lowering { file: index, base: chunk.start, report };
                lowering.body(&body, &mut whole);
            }
            Err(error) => report.push_unreadable(syntax_finding(index, chunk.start, text, &error)),
        }
    }
    whole
}

fn source(file: u16, base: usize, range: &Range<usize>) -> Source {
    // The size of a file is bounded far below 4 GiB by `FILE_BYTES_MAX`.
    Source { file, start: (base + range.start) as u32, end: (base + range.end) as u32 }
}

/// The parser's words made a sentence: what was expected, with advice where the cause is one people meet.
fn syntax_finding(file: u16, base: usize, text: &str, error: &hcl_edit::parser::Error) -> Finding {
    // The parser counts bytes and may point into the middle of a character.
    let mut offset = error.location().offset().min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let rest = &text[offset..];
    let found = rest.chars().next();
    let length = match found {
        Some('\n') | None => 0,
        Some(first) if first.is_alphanumeric() => {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len())
        }
        Some(first) => first.len_utf8(),
    };
    let mut place = source(file, base, &(offset..offset + length));
    let message = error.message();
    if message.contains("redefined") {
        return Finding::error(Code::WrittenTwice, place, "this name is given a value twice in one block")
            .help("keep one of the two");
    }
    if length == 0 && offset > 0 {
        // At the end of a line there is nothing to mark: mark the last character before it.
        let before = text[..offset].char_indices().next_back().map_or(0, |(index, _)| index);
        place = source(file, base, &(before..offset));
    }
    let found_text = &rest[..length];
    let sentence = match (expected(message), found) {
        _ if message.contains("nesting depth") => format!("this is nested deeper than {NESTING_MAX} levels"),
        _ if message.contains("chained binary operators") => {
            "this expression has more than 128 operators".to_string()
        }
        (Some(expected), Some('\n') | None) => format!("the line ends here, but {expected} should follow"),
        (Some(expected), Some(_)) => format!("`{found_text}` cannot stand here; {expected} should"),
        (None, _) => "this is not HCL".to_string(),
    };
    let finding = Finding::error(Code::Syntax, place, sentence);
    match found {
        Some(',') => {
            finding.help("attributes of a block are not separated by commas: write each on its own line")
        }
        Some('\'') => finding.help("text stands in double quotes"),
        Some(first) if first.is_alphanumeric() && message.contains("block body") => {
            finding.help("a block on one line holds at most one attribute: write each on its own line")
        }
        _ => finding,
    }
}

/// What the parser expected, in the words of those who write designs rather than of those who write parsers.
fn expected(message: &str) -> Option<String> {
    let (_, expected) = message.rsplit_once("expected ")?;
    Some(if expected.contains("letter or digit") {
        "a value".to_string()
    } else if expected.contains("newline or eof") {
        "the end of the line".to_string()
    } else {
        expected.replace('\n', "\\n")
    })
}

struct Lowering<'r> {
    file: u16,
    base: usize,
    report: &'r mut Report,
}

impl Lowering<'_> {
    fn source(&self, span: Option<Range<usize>>) -> Source {
        source(self.file, self.base, &span.unwrap_or(0..0))
    }

    fn body(&mut self, body: &hcl_edit::structure::Body, into: &mut Block) {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => into.attributes.push(Attribute {
                    key: Spanned {
                        value: attribute.key.as_str().to_string(),
                        source: self.source(attribute.key.span()),
                    },
                    value: self.expression(&attribute.value),
                }),
                Structure::Block(block) => {
                    let kind = Spanned {
                        value: block.ident.as_str().to_string(),
                        source: self.source(block.ident.span()),
                    };
                    let labels: Vec<Spanned<String>> =
                        block.labels.iter().map(|label| self.label(label)).collect();
                    let end = labels.last().map_or(kind.source.end, |label| label.source.end);
                    let head = Source { end, ..kind.source };
                    let mut lowered =
                        Block { kind, labels, attributes: Vec::new(), blocks: Vec::new(), head };
                    self.body(&block.body, &mut lowered);
                    into.blocks.push(lowered);
                }
            }
        }
    }

    fn label(&self, label: &BlockLabel) -> Spanned<String> {
        let span = match label {
            BlockLabel::Ident(ident) => ident.span(),
            BlockLabel::String(text) => text.span(),
        };
        Spanned { value: label.as_str().to_string(), source: self.source(span) }
    }

    fn outside(&mut self, source: Source, what: &str, help: &str) -> Kind {
        let sentence = format!("{what} is not part of the design language");
        self.report.push(Finding::error(Code::BadExpression, source, sentence).help(help));
        Kind::Invalid
    }

    fn expression(&mut self, hcl: &Hcl) -> Expression {
        let source = self.source(hcl.span());
        let kind = match hcl {
            Hcl::Null(_) => Kind::Null,
            Hcl::Bool(value) => Kind::Bool(*value.value()),
            Hcl::Number(number) => match number.value().as_i64() {
                Some(integer) => Kind::Integer(integer),
                None => Kind::Fraction,
            },
            Hcl::String(text) => Kind::Text(text.value().clone()),
            Hcl::Array(items) => Kind::List(items.iter().map(|item| self.expression(item)).collect()),
            Hcl::Object(object) => Kind::Object(
                object
                    .iter()
                    .filter_map(|(key, value)| {
                        Some(Attribute { key: self.key(key)?, value: self.expression(value.expr()) })
                    })
                    .collect(),
            ),
            Hcl::HeredocTemplate(heredoc) => {
                match heredoc.template.as_single_element().and_then(|element| element.as_literal()) {
                    Some(literal) => Kind::Text(literal.value().clone()),
                    None if heredoc.template.is_empty() => Kind::Text(String::new()),
                    None => self.outside(source, "`${}`", "fields of a naming template are written `{pod}`"),
                }
            }
            Hcl::StringTemplate(_) => {
                self.outside(source, "`${}`", "fields of a naming template are written `{pod}`")
            }
            Hcl::Parenthesis(inner) => {
                return Expression { source, ..self.expression(inner.inner()) };
            }
            Hcl::Variable(name) => Kind::Path(name.as_str().to_string(), Vec::new()),
            Hcl::Traversal(traversal) => self.path(source, traversal),
            Hcl::UnaryOp(operation) => {
                let inner = Box::new(self.expression(&operation.expr));
                match *operation.operator.value() {
                    UnaryOperator::Neg => match inner.kind {
                        Kind::Integer(value) if value != i64::MIN => Kind::Integer(-value),
                        _ => Kind::Negative(inner),
                    },
                    UnaryOperator::Not => Kind::Not(inner),
                }
            }
            Hcl::BinaryOp(operation) => Kind::Binary(
                Box::new(self.expression(&operation.lhs_expr)),
                operator(*operation.operator.value()),
                Box::new(self.expression(&operation.rhs_expr)),
            ),
            Hcl::Conditional(choice) => Kind::Choice(Box::new([
                self.expression(&choice.cond_expr),
                self.expression(&choice.true_expr),
                self.expression(&choice.false_expr),
            ])),
            Hcl::FuncCall(_) => self.outside(
                source,
                "a function call",
                "arithmetic and `a ? b : c` are what expressions have",
            ),
            Hcl::ForExpr(_) => {
                self.outside(source, "`for`", "patterns such as `u{01..36}` say what is there many times")
            }
        };
        Expression { kind, source }
    }

    fn key(&mut self, key: &ObjectKey) -> Option<Spanned<String>> {
        let source = self.source(key.span());
        match key {
            ObjectKey::Ident(ident) => Some(Spanned { value: ident.as_str().to_string(), source }),
            ObjectKey::Expression(Hcl::String(text)) => Some(Spanned { value: text.value().clone(), source }),
            ObjectKey::Expression(_) => {
                let sentence = "a key is a word or text in quotes";
                self.report.push(Finding::error(Code::BadExpression, source, sentence));
                None
            }
        }
    }

    fn path(&mut self, source: Source, traversal: &hcl_edit::expr::Traversal) -> Kind {
        let Hcl::Variable(root) = &traversal.expr else {
            return self.outside(source, "this", "a path starts with a word: `leaf.a.swp[unit]`");
        };
        let mut steps = Vec::with_capacity(traversal.operators.len());
        for operator in &traversal.operators {
            let place = self.source(operator.span());
            steps.push(match operator.value() {
                TraversalOperator::GetAttr(word) => {
                    let word_place = word.span().map_or(place, |span| self.source(Some(span)));
                    Step::Word(Spanned { value: word.as_str().to_string(), source: word_place })
                }
                TraversalOperator::LegacyIndex(index) => {
                    Step::Word(Spanned { value: index.value().to_string(), source: place })
                }
                TraversalOperator::Index(index) => Step::Index(self.expression(index)),
                TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                    return self.outside(place, "`*`", "name one port; the rule repeats by itself");
                }
            });
        }
        Kind::Path(root.as_str().to_string(), steps)
    }
}

fn operator(operator: BinaryOperator) -> Operator {
    match operator {
        BinaryOperator::Plus => Operator::Add,
        BinaryOperator::Minus => Operator::Subtract,
        BinaryOperator::Mul => Operator::Multiply,
        BinaryOperator::Div => Operator::Divide,
        BinaryOperator::Mod => Operator::Remainder,
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Less => Operator::Less,
        BinaryOperator::LessEq => Operator::LessOrEqual,
        BinaryOperator::Greater => Operator::Greater,
        BinaryOperator::GreaterEq => Operator::GreaterOrEqual,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
    }
}
