//! A file's text split into its top-level blocks, so that a mistake in one is confined to it.
//!
//! In: text. Out: the byte range of each block or attribute at the top level, and the quotes and brackets that do
//! not match, each at the place where it opens: the parser of `syntax` would name the place where it gave up.

use crate::limits::{ENTRIES_MAX, ENTRY_PAIRS_MAX, FINDINGS_MAX, NESTING_MAX};
use crate::schema;
use crate::tokens::{Token, TokenKind, tokens, tokens_from};
use std::ops::Range;

/// What `scan` found in one file.
#[derive(Default)]
pub(crate) struct Scan {
    /// Whole top-level structures whose quotes and brackets match, in order.
    pub(crate) chunks: Vec<Range<usize>>,
    /// What does not match.
    pub(crate) faults: Vec<Fault>,
}

impl Scan {
    /// Keeps a fault. More than are shown are not held.
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() <= FINDINGS_MAX {
            self.faults.push(fault);
        }
    }
}

/// A quote, bracket, comment or heredoc without its other half.
pub(crate) struct Fault {
    pub(crate) place: Range<usize>,
    pub(crate) sentence: String,
    pub(crate) related: Option<(Range<usize>, &'static str)>,
    pub(crate) help: Option<&'static str>,
}

/// Splits `text`.
pub(crate) fn scan(text: &str) -> Scan {
    let whole = split(text, false);
    if whole.faults.is_empty() {
        return whole;
    }
    // Brackets do not match somewhere. Read again, taking a block's name in the first column for the start of a new
    // block, so that the rest of the file is not lost inside the one that is not closed.
    split(text, true)
}

struct Open {
    token: Token,
    /// Columns before the first character of the line it stands on.
    indent: usize,
    /// `key = value` and `key: value` directly within it.
    entries: usize,
}

fn split(text: &str, resync: bool) -> Scan {
    let mut scan = Scan::default();
    let mut stack: Vec<Open> = Vec::new();
    // Brackets open within the deepest of the stack.
    let mut deeper = 0_usize;
    // Keys of one pair of brackets, each with each before it.
    let mut pairs = 0_usize;
    let mut chunk: Option<usize> = None;
    let mut broken = false;
    let mut suspect: Option<Token> = None;
    let mut indent = 0;
    let mut line_start = 0;
    let mut first_on_line = true;

    for token in tokens(text) {
        if token.is_code() && first_on_line {
            indent = token.start - line_start;
            let new_block = resync && indent == 0 && !stack.is_empty() && begins_block(text, token.start);
            if new_block {
                if !broken {
                    scan.fault(unclosed(text, suspect.unwrap_or(stack[stack.len() - 1].token)));
                }
                stack.clear();
                (chunk, broken, suspect, deeper) = (None, false, None, 0);
            }
        }
        if token.is_code() && chunk.is_none() {
            chunk = Some(token.start);
        }
        match token.kind {
            TokenKind::Newline => {
                line_start = token.end;
                if stack.is_empty() {
                    if let Some(start) = chunk.take().filter(|_| !broken) {
                        // The `\r` of `\r\n` is of the line's end, too.
                        let end = token.start - usize::from(text[start..token.start].ends_with('\r'));
                        scan.chunks.push(start..end);
                    }
                    (broken, suspect) = (false, None);
                }
            }
            TokenKind::UnclosedText => {
                broken = true;
                scan.fault(Fault {
                    place: token.start..token.end,
                    sentence: "this quote is not closed on its line".into(),
                    related: None,
                    help: Some("end the text with `\"`; text of several lines is written `<<END` … `END`"),
                });
            }
            // hcl-edit 0.10 looks for the mark from the second line on, and would take all up to the next one like it for the text.
            TokenKind::Heredoc if token.of(text).matches('\n').count() == 1 => {
                broken = true;
                scan.fault(Fault {
                    place: token.start..(token.start + 2),
                    sentence: "this text ends where it begins".into(),
                    related: None,
                    help: Some("an empty text is written `\"\"`"),
                });
            }
            TokenKind::Unclosed => {
                broken = true;
                let comment = token.of(text).starts_with("/*");
                scan.fault(Fault {
                    place: token.start..(token.start + 2),
                    sentence: if comment {
                        "this comment is never closed"
                    } else {
                        "this text is never closed"
                    }
                    .into(),
                    related: None,
                    help: Some(if comment {
                        "end it with `*/`"
                    } else {
                        "end it with its mark alone on a line"
                    }),
                });
            }
            TokenKind::Open if stack.len() < 2 * NESTING_MAX => {
                stack.push(Open { token, indent, entries: 0 })
            }
            TokenKind::Open => {
                if !broken {
                    scan.fault(Fault {
                        place: token.start..token.end,
                        sentence: format!("this is nested deeper than {NESTING_MAX} levels"),
                        related: None,
                        help: None,
                    });
                }
                broken = true;
                deeper += 1;
            }
            TokenKind::Punctuation if matches!(token.of(text), "=" | ":") => {
                if let Some(open) = stack.last_mut() {
                    pairs += open.entries;
                    open.entries += 1;
                    let is_long = open.entries > ENTRIES_MAX;
                    if (is_long || pairs > ENTRY_PAIRS_MAX) && !broken {
                        broken = true;
                        scan.fault(Fault {
                            place: token.start..token.end,
                            sentence: if is_long {
                                format!("there are more than {ENTRIES_MAX} entries in one pair of brackets")
                            } else {
                                "the objects of this file have too many long lists of entries".into()
                            },
                            related: Some((open.token.start..open.token.end, "opened here")),
                            help: None,
                        });
                    }
                }
            }
            TokenKind::Close if deeper > 0 => deeper -= 1,
            TokenKind::Close => {
                let closes = |open: &Open| other_half(open.token.of(text)) == token.of(text);
                match stack.pop() {
                    Some(open) if closes(&open) => {
                        if first_on_line && indent < open.indent && suspect.is_none() {
                            suspect = Some(open.token);
                        }
                    }
                    Some(open) => {
                        if !broken {
                            scan.fault(Fault {
                                place: token.start..token.end,
                                sentence: format!(
                                    "this `{}` does not close the `{}` before it",
                                    token.of(text),
                                    open.token.of(text)
                                ),
                                related: Some((open.token.start..open.token.end, "opened here")),
                                help: None,
                            });
                        }
                        broken = true;
                        match stack.iter().rposition(closes) {
                            Some(depth) => stack.truncate(depth),
                            None => stack.push(open),
                        }
                    }
                    None => {
                        if !broken {
                            scan.fault(Fault {
                                place: token.start..token.end,
                                sentence: format!("this `{}` closes nothing", token.of(text)),
                                related: None,
                                help: Some("remove it, or look for the bracket that is missing above"),
                            });
                        }
                        broken = true;
                    }
                }
            }
            _ => {}
        }
        match token.kind {
            TokenKind::Newline => first_on_line = true,
            TokenKind::Space => {}
            _ => {
                first_on_line = false;
                // A heredoc or a comment may hold newlines of its own.
                if let Some(newline) = token.of(text).rfind('\n') {
                    line_start = token.start + newline + 1;
                }
            }
        }
    }
    if let Some(start) = chunk {
        match stack.last() {
            Some(open) if !broken => scan.fault(unclosed(text, suspect.unwrap_or(open.token))),
            None if !broken => scan.chunks.push(start..text.len()),
            _ => {}
        }
    }
    scan
}

fn unclosed(text: &str, token: Token) -> Fault {
    let mark = token.of(text);
    Fault {
        place: token.start..token.end,
        sentence: format!("this `{mark}` is never closed"),
        related: None,
        help: Some(match mark {
            "{" => "add the `}` that ends it",
            "[" => "add the `]` that ends it",
            _ => "add the `)` that ends it",
        }),
    }
}

fn other_half(open: &str) -> &'static str {
    match open {
        "{" => "}",
        "[" => "]",
        _ => ")",
    }
}

/// Whether the tokens from byte `at` on read like the first line of a top-level block.
fn begins_block(text: &str, at: usize) -> bool {
    let mut code = tokens_from(text, at)
        .take_while(|token| token.kind != TokenKind::Newline)
        .filter(|token| token.is_code());
    code.next().is_some_and(|token| schema::FILE.blocks.contains(&token.of(text)))
        && code.next().is_some_and(|token| token.kind == TokenKind::Text || token.of(text) == "{")
}
