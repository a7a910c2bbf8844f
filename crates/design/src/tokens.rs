//! HCL text as tokens: just enough of the language to see where blocks, quotes and comments begin and end.
//!
//! In: a file's text. Out: tokens that cover every byte of it, in order. It never fails: what is not closed is a
//! token that says so. It judges no grammar; that is `syntax`'s.

/// A piece of the text: `text[start..end]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    /// Its bytes in the text it was read from.
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    /// Whether it is neither space, newline nor comment.
    pub(crate) fn is_code(self) -> bool {
        !matches!(self.kind, TokenKind::Space | TokenKind::Newline | TokenKind::Comment)
    }
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    Space,
    Newline,
    /// To the end of the line, without the newline; or `/* … */`.
    Comment,
    Word,
    Number,
    /// A quoted string whole, with what is interpolated in it.
    Text,
    Heredoc,
    /// `{`, `[` or `(`.
    Open,
    /// `}`, `]` or `)`.
    Close,
    Punctuation,
    /// A quoted string without its closing quote: up to the end of the line.
    UnclosedText,
    /// A `/*` comment or a heredoc without its end: up to the end of the file.
    Unclosed,
}

/// All tokens of `text`.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token> {
    tokens_from(text, 0)
}

/// The tokens of `text` from one that starts at byte `at`.
pub(crate) fn tokens_from(text: &str, mut at: usize) -> impl Iterator<Item = Token> {
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let (kind, end) = next(text, at);
        // Every arm of `next` takes at least one whole character; this holds the reader to it.
        let token = Token { kind, start: at, end: end.clamp(at + 1, text.len()) };
        at = token.end;
        Some(token)
    })
}

fn next(text: &str, at: usize) -> (TokenKind, usize) {
    let bytes = text.as_bytes();
    let rest = &bytes[at..];
    match rest[0] {
        b'\n' => (TokenKind::Newline, at + 1),
        b' ' | b'\t' | b'\r' => {
            (TokenKind::Space, at + count(rest, |byte| matches!(byte, b' ' | b'\t' | b'\r')))
        }
        b'#' => (TokenKind::Comment, line_end(bytes, at)),
        b'/' if rest.starts_with(b"//") => (TokenKind::Comment, line_end(bytes, at)),
        b'/' if rest.starts_with(b"/*") => match text[at + 2..].find("*/") {
            Some(length) => (TokenKind::Comment, at + 2 + length + 2),
            None => (TokenKind::Unclosed, bytes.len()),
        },
        b'"' => quoted(bytes, at),
        b'<' if rest.starts_with(b"<<") => heredoc(text, at).unwrap_or((TokenKind::Punctuation, at + 1)),
        b'{' | b'[' | b'(' => (TokenKind::Open, at + 1),
        b'}' | b']' | b')' => (TokenKind::Close, at + 1),
        b'0'..=b'9' => (TokenKind::Number, at + number(rest)),
        byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
            if text[at..].starts_with('\u{feff}') {
                return (TokenKind::Space, at + 3);
            }
            let in_word =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || byte >= 0x80;
            (TokenKind::Word, at + count(rest, in_word))
        }
        _ => {
            let length = match rest {
                [b'.', b'.', b'.', ..] => 3,
                [b'=', b'=' | b'>', ..] | [b'!' | b'<' | b'>', b'=', ..] => 2,
                [b'&', b'&', ..] | [b'|', b'|', ..] => 2,
                _ => 1,
            };
            (TokenKind::Punctuation, at + length)
        }
    }
}

fn count(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len())
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let end = at + count(&bytes[at..], |byte| byte != b'\n');
    if end > at && bytes[end - 1] == b'\r' { end - 1 } else { end }
}

fn number(rest: &[u8]) -> usize {
    let digits = |from: usize| count(&rest[from..], |byte| byte.is_ascii_digit());
    let mut length = digits(0);
    if rest.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        if length + 1 + sign <= rest.len() && digits(length + 1 + sign) > 0 {
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    length
}

/// A quoted string from its opening quote. Inside `${ }` quotes nest, so a stack says which of the two we are in.
fn quoted(bytes: &[u8], at: usize) -> (TokenKind, usize) {
    let mut inside = vec![b'"'];
    let mut here = at + 1;
    while here < bytes.len() {
        let in_text = inside.last() == Some(&b'"');
        match bytes[here] {
            b'\n' => break,
            b'\\' if in_text && here + 1 < bytes.len() && bytes[here + 1] != b'\n' => here += 1,
            b'"' if in_text => {
                inside.pop();
                if inside.is_empty() {
                    return (TokenKind::Text, here + 1);
                }
            }
            b'"' => inside.push(b'"'),
            mark @ (b'$' | b'%') if in_text && bytes.get(here + 1) == Some(&b'{') => {
                // `$${` is a literal `${`.
                if bytes[here - 1] != mark {
                    inside.push(b'{');
                }
                here += 1;
            }
            b'{' if !in_text => inside.push(b'{'),
            b'}' if !in_text => {
                inside.pop();
            }
            _ => {}
        }
        here += 1;
    }
    (TokenKind::UnclosedText, line_end(bytes, at))
}

/// `<<NAME` or `<<-NAME`, then lines up to one that is `NAME` alone. `None` if this is not the start of one.
fn heredoc(text: &str, at: usize) -> Option<(TokenKind, usize)> {
    // Only as far as the mark goes: a line of nothing but `<<` is looked through once, not once for each of them.
    let bytes = text.as_bytes();
    let word = at + 2 + usize::from(bytes.get(at + 2) == Some(&b'-'));
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let word_end = word + count(&bytes[word..], in_word);
    let mark = &text[word..word_end];
    let first_line_end =
        word_end + count(&bytes[word_end..], |byte| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c));
    if mark.is_empty() || bytes.get(first_line_end) != Some(&b'\n') {
        return None;
    }
    let mut line_start = first_line_end + 1;
    for line in text[line_start..].split_inclusive('\n') {
        if line.trim() == mark {
            return Some((TokenKind::Heredoc, line_start + line.trim_end_matches(['\n', '\r']).len()));
        }
        line_start += line.len();
    }
    Some((TokenKind::Unclosed, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let tokens: Vec<Token> = tokens(text).collect();
        let whole: String = tokens.iter().map(|token| token.of(text)).collect();
        assert_eq!(whole, text, "tokens cover the text");
        let shown: Vec<String> = tokens
            .iter()
            .filter(|token| token.kind != TokenKind::Space)
            .map(|token| format!("{:?} {:?}", token.kind, token.of(text)))
            .collect();
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn tokens_cover_every_byte() {
        check(
            "leaf \"a\" { n = swp[unit-1] } # ü\n",
            expect![[r##"
                Word "leaf"
                Text "\"a\""
                Open "{"
                Word "n"
                Punctuation "="
                Word "swp"
                Open "["
                Word "unit-1"
                Close "]"
                Close "}"
                Comment "# ü"
                Newline "\n""##]],
        );
        check(
            "a = \"x${f(\"}\")} $${\" // c",
            expect![[r#"
                Word "a"
                Punctuation "="
                Text "\"x${f(\"}\")} $${\""
                Comment "// c""#]],
        );
        check(
            "a = <<-END\n  { \"\n  END\nb",
            expect![[r#"
                Word "a"
                Punctuation "="
                Heredoc "<<-END\n  { \"\n  END"
                Newline "\n"
                Word "b""#]],
        );
    }

    #[test]
    fn what_is_not_closed_says_so() {
        check(
            "a = \"x\\\"\nb = \"y",
            expect![[r#"
                Word "a"
                Punctuation "="
                UnclosedText "\"x\\\""
                Newline "\n"
                Word "b"
                Punctuation "="
                UnclosedText "\"y""#]],
        );
        check("/* ä", expect![[r#"Unclosed "/* ä""#]]);
        check(
            "1e",
            expect![[r#"
            Number "1"
            Word "e""#]],
        );
    }
}
