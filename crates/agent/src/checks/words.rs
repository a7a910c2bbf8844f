//! A command line, split into words as a shell would, without a shell.
//!
//! In: text. Out: words, or why it needs a shell. Quotes and backslashes work as in POSIX (Shell Command Language §2.2);
//! whatever else a shell would act on is refused, so that a pipe is not quietly handed to a program as an argument.

/// What a shell acts on outside quotes.
const SHELL: &str = "|&;<>()$`*?[#~\n";

/// Splits a command line.
///
/// # Errors
/// A sentence: it is empty, a quote is not closed, or it needs a shell.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.trim().chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err("a `'` is not closed".into()),
                    }
                }
            }
            '"' => quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err("it ends in a backslash".into()),
            },
            // `#` and `~` mean something only at the start of a word.
            '#' | '~' if word.is_some() => word.get_or_insert_default().push(letter),
            letter if SHELL.contains(letter) => {
                return Err(format!(
                    "`{}` needs a shell: quote it, or write `shell: true`",
                    letter.escape_debug()
                ));
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if words.is_empty() { Err("there is no command".into()) } else { Ok(words) }
}

fn quoted(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next() {
            Some('"') => return Ok(()),
            Some('$' | '`') => {
                return Err(
                    "`$` and backquotes need a shell: use single quotes, or write `shell: true`".into()
                );
            }
            Some('\\') => match letters.next() {
                Some(letter @ ('"' | '\\' | '$' | '`')) => word.push(letter),
                Some(letter) => word.extend(['\\', letter]),
                None => return Err("a `\"` is not closed".into()),
            },
            Some(letter) => word.push(letter),
            None => return Err("a `\"` is not closed".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(line: &str, expected: Expect) {
        expected.assert_eq(&match split(line) {
            Ok(words) => format!("{words:?}"),
            Err(sentence) => sentence,
        });
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        check("  go   version ", expect![[r#"["go", "version"]"#]]);
        check(r#"grep -c "two words" 'a|b' c\ d"#, expect![[r#"["grep", "-c", "two words", "a|b", "c d"]"#]]);
        check(r#"a"b"'c' "" "\"\x""#, expect![[r#"["abc", "", "\"\\x"]"#]]);
        check("curl http://h/a#b user~1", expect![[r#"["curl", "http://h/a#b", "user~1"]"#]]);
    }

    #[test]
    fn what_needs_a_shell_says_so() {
        check("ls | wc", expect!["`|` needs a shell: quote it, or write `shell: true`"]);
        check("echo $HOME", expect!["`$` needs a shell: quote it, or write `shell: true`"]);
        check(
            "echo \"$HOME\"",
            expect!["`$` and backquotes need a shell: use single quotes, or write `shell: true`"],
        );
        check("ls *.rs", expect!["`*` needs a shell: quote it, or write `shell: true`"]);
        check("a\nb", expect![[r"`\n` needs a shell: quote it, or write `shell: true`"]]);
        check("", expect!["there is no command"]);
        check("echo 'a", expect!["a `'` is not closed"]);
        check("echo \"a\\", expect!["a `\"` is not closed"]);
        check("echo \\", expect!["it ends in a backslash"]);
    }
}
