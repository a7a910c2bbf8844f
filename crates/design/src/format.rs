//! The canonical layout of a design file.
//!
//! In: text. Out: the same tokens, comments and line breaks, with two spaces of indent for each open bracket, one space
//! between words, `=` aligned in runs of attributes, and no more than one blank line together. It never adds, drops or
//! reorders a token, so it cannot change what a file means; that is checked on every run, not hoped for.

use crate::scan::scan;
use crate::tokens::{Token, TokenKind, tokens};

/// `text` in its canonical layout; `None` if it has a syntax error, as there is no telling what was meant.
pub fn format(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}');
    if !readable(text) {
        return None;
    }
    let formatted = write(text);
    let same = tokens_that_count(text) == tokens_that_count(&formatted) && readable(&formatted);
    // A layout that would read differently is our mistake: the file stays as its author wrote it.
    Some(if same { formatted } else { text.to_string() })
}

/// Whether a file is read without a syntax error: piece by piece, as the reader takes it.
fn readable(text: &str) -> bool {
    let scan = scan(text);
    scan.faults.is_empty()
        && scan.chunks.into_iter().all(|chunk| hcl_edit::parser::parse_body(&text[chunk]).is_ok())
}

/// Everything but space, also that at the end of a comment; of newlines, whether there is one.
fn tokens_that_count(text: &str) -> Vec<&str> {
    let mut counted: Vec<&str> = Vec::new();
    for token in tokens(text).filter(|token| token.kind != TokenKind::Space) {
        let newline = token.kind == TokenKind::Newline;
        if !newline || counted.last().is_some_and(|last| *last != "\n") {
            counted.push(token.of(text).trim_end_matches([' ', '\t', '\r']));
        }
    }
    while counted.last() == Some(&"\n") {
        counted.pop();
    }
    counted
}

/// One line of the file, as it is to be written.
struct Line {
    indent: usize,
    /// The key, if the line is `key = value` and ends where it began: such lines are aligned.
    key: Option<String>,
    /// The line, or what follows the key, up to the comment.
    rest: String,
    /// The comment at its end, if it has a key: comments of lines that follow one another are aligned.
    comment: Option<String>,
    opens: bool,
    closes: bool,
}

impl Line {
    fn is_blank(&self) -> bool {
        self.key.is_none() && self.rest.is_empty()
    }
}

fn write(text: &str) -> String {
    let lines = lines(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut index = 0;
    while index < lines.len() {
        let line = &lines[index];
        if line.is_blank() {
            let first =
                out.is_empty() || index > 0 && (lines[index - 1].is_blank() || lines[index - 1].opens);
            let last = lines[index + 1..].iter().find(|line| !line.is_blank()).is_none_or(|line| line.closes);
            if !first && !last {
                out.push('\n');
            }
            index += 1;
            continue;
        }
        let run =
            lines[index..].iter().take_while(|next| next.key.is_some() && next.indent == line.indent).count();
        let width = |line: &Line| line.key.as_ref().map_or(0, |key| key.chars().count());
        let widest = lines[index..index + run].iter().map(width).max().unwrap_or(0);
        let run = &lines[index..index + run.max(1)];
        let comments = comment_columns(run);
        for (line, column) in run.iter().zip(comments) {
            for _ in 0..line.indent {
                out.push_str("  ");
            }
            if let Some(key) = &line.key {
                out.push_str(key);
                for _ in width(line)..widest {
                    out.push(' ');
                }
                out.push(' ');
            }
            out.push_str(&line.rest);
            if let Some(comment) = &line.comment {
                for _ in line.rest.chars().count()..column {
                    out.push(' ');
                }
                out.push(' ');
                out.push_str(comment);
            }
            out.push('\n');
        }
        index += run.len();
    }
    out
}

/// For each line of a run, the width that `rest` is filled up to before its comment: the widest of its neighbours that
/// have one too.
fn comment_columns(run: &[Line]) -> Vec<usize> {
    let mut columns = Vec::with_capacity(run.len());
    for group in run.chunk_by(|a, b| a.comment.is_some() == b.comment.is_some()) {
        let widest = group.iter().map(|line| line.rest.chars().count()).max().unwrap_or(0);
        columns.resize(columns.len() + group.len(), widest);
    }
    columns
}

fn lines(text: &str) -> Vec<Line> {
    let tokens: Vec<Token> = tokens(text).collect();
    let mut lines = Vec::new();
    // For each open bracket, whether it indents what is in it: of those opened on one line only the last does.
    let mut open: Vec<bool> = Vec::new();
    for line in tokens.split(|token| token.kind == TokenKind::Newline) {
        let line: Vec<Token> = line.iter().copied().filter(|token| token.kind != TokenKind::Space).collect();
        let leading_closers = line.iter().take_while(|token| token.kind == TokenKind::Close).count();
        let depth_before = open.len();
        let mut lowest = depth_before;
        let indent =
            open[..depth_before.saturating_sub(leading_closers)].iter().filter(|indents| **indents).count();
        for token in &line {
            match token.kind {
                TokenKind::Open => open.push(false),
                TokenKind::Close => {
                    open.pop();
                    lowest = lowest.min(open.len());
                }
                _ => {}
            }
        }
        if open.len() > lowest
            && let Some(last) = open.last_mut()
        {
            *last = true;
        }
        let key = match line[..] {
            [key, equals, _, ..]
                if matches!(key.kind, TokenKind::Word | TokenKind::Text)
                    && equals.of(text) == "="
                    && open.len() == depth_before
                    && lowest == depth_before
                    && line.iter().all(|token| !token.of(text).contains('\n')) =>
            {
                Some(key.of(text).to_string())
            }
            _ => None,
        };
        let mut written = if key.is_some() { &line[1..] } else { &line[..] };
        let mut comment = None;
        if let (Some(_), Some((last, before))) = (&key, written.split_last())
            && last.kind == TokenKind::Comment
        {
            comment = Some(last.of(text).trim_end().to_string());
            written = before;
        }
        lines.push(Line {
            indent,
            rest: joined(text, written),
            key,
            comment,
            opens: line
                .iter()
                .rev()
                .find(|token| token.is_code())
                .is_some_and(|token| token.kind == TokenKind::Open),
            closes: leading_closers > 0,
        });
    }
    lines
}

fn joined(text: &str, line: &[Token]) -> String {
    let mut out = String::new();
    for (index, token) in line.iter().enumerate() {
        if index > 0 && spaced(text, &line[..index], *token) {
            out.push(' ');
        }
        let written = token.of(text);
        out.push_str(if token.kind == TokenKind::Comment { written.trim_end() } else { written });
    }
    out
}

/// Whether a space stands between the tokens `before` and `next`.
fn spaced(text: &str, before: &[Token], next: Token) -> bool {
    let Some(&last) = before.last() else { return false };
    let (left, right) = (last.of(text), next.of(text));
    if last.kind == TokenKind::Comment || next.kind == TokenKind::Comment {
        return true;
    }
    let is_value = |token: Token| {
        matches!(token.kind, TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Close)
    };
    match (left, right) {
        ("{", "}") | ("[" | "(", _) | (_, "]" | ")" | "," | "." | "...") | (".", _) => false,
        (_, "[" | "(") => !is_value(last),
        ("-" | "!", _) => {
            // A sign belongs to its number; an operator stands free.
            before.len() >= 2 && is_value(before[before.len() - 2])
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let formatted = format(text).expect("no syntax error");
        expected.assert_eq(&formatted);
        assert_eq!(format(&formatted).as_deref(), Some(formatted.as_str()), "twice is once");
    }

    #[test]
    fn layout() {
        check(
            "\n\n# zone\nzone   \"a\"{\n\n\ndomain=\"a.example\"  # why  \n  supernet =[ \"10.0.0.0/8\",\"2001:db8::/32\" ]\n\n\n\
             capacity={pods=1,racks =2 }\n// last\n\n}\n\n\n\nnetwork \"b\" {}\n\n",
            expect![[r#"
                # zone
                zone "a" {
                  domain   = "a.example" # why
                  supernet = ["10.0.0.0/8", "2001:db8::/32"]

                  capacity = { pods = 1, racks = 2 }
                  // last
                }

                network "b" {}
            "#]],
        );
        check(
            "machines \"u{1..2}\" {\nmodel=\"x\"\ncable={\neno1=leaf . a.swp [ ( unit-1)*4+ -2 ]\n\"eno22\" = !true?1:2\n}\nx = [{\na=1\n}, {\nb = 2\n}]\n}",
            expect![[r#"
                machines "u{1..2}" {
                  model = "x"
                  cable = {
                    eno1    = leaf.a.swp[(unit-1) * 4 + -2]
                    "eno22" = !true ? 1 : 2
                  }
                  x = [{
                    a = 1
                  }, {
                    b = 2
                  }]
                }
            "#]],
        );
        check(
            "a   = <<-END\n   kept   as it is\n  END\nbb = 1\n/* two\n   lines */\n",
            expect![[r#"
                a = <<-END
                   kept   as it is
                  END
                bb = 1
                /* two
                   lines */
            "#]],
        );
        check(
            "a = 1 # one\nbbb = [1, 2] // two\nc = 3\nd = 4 /* four */\ne { # open\nf = 1\n}\n",
            expect![[r#"
                a   = 1      # one
                bbb = [1, 2] // two
                c   = 3
                d   = 4 /* four */
                e { # open
                  f = 1
                }
            "#]],
        );
        check("", expect![[""]]);
        check(
            "\r\na = 1\r\n\r\n",
            expect![[r#"
            a = 1
        "#]],
        );
    }

    #[test]
    fn a_file_with_a_syntax_error_is_left_alone() {
        for text in [
            "a = \"x\nb = 1\n",
            "zone \"a\" {",
            "}",
            "a = = 1",
            "a 1",
            "a = <<E\nE\r\r\n- = <<E\nE\n",
            "m {\na = <<-E\n E\nb = [1]\nc = <<-E\n E\n}",
        ] {
            assert_eq!(format(text), None, "{text:?}");
        }
    }
}
