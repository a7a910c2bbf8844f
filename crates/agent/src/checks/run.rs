//! All checks of a machine: a few at a time, each within its time, results in the order of the files.
//!
//! In: files of checks. Out: one result for each assertion, bounded in number and length. A file that cannot be read is one
//! failed result that says where: the controller may be newer than this agent.

use super::schema::Check;
use super::{Value, look, parse};
use crate::hardware::beginning;
use api::agent::LIST_MAX;
use model::facts::CheckResult;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Checks that run at the same time: enough to hide one that waits, too few to load a machine.
const AT_ONCE: usize = 4;

/// The longest detail, in octets.
const DETAIL_MAX: usize = 512;

/// The longest name, in octets.
const NAME_MAX: usize = 256;

/// Runs every check of these files: `(path, text)`.
pub async fn run<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<CheckResult> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let (mut running, mut slots) = (JoinSet::new(), Vec::new());
    for (path, text) in files {
        match parse(text) {
            Ok(checks) => {
                for check in checks {
                    let (slot, gate) = (slots.len(), Arc::clone(&gate));
                    slots.push(Vec::new());
                    running.spawn(async move {
                        // The gate is never closed.
                        let _turn = gate.acquire().await;
                        (slot, one(&check).await)
                    });
                }
            }
            Err(problems) => {
                let words: Vec<_> =
                    problems.iter().map(|(line, sentence)| format!("line {line}: {sentence}")).collect();
                slots.push(vec![result(path.to_owned(), false, &words.join("; "))]);
            }
        }
    }
    while let Some(joined) = running.join_next().await {
        if let Ok((slot, results)) = joined {
            slots[slot] = results;
        }
    }
    let mut results: Vec<_> = slots.into_iter().flatten().collect();
    if results.len() > LIST_MAX {
        results.truncate(LIST_MAX - 1);
        results.push(result("checks".into(), false, &format!("there are more than {LIST_MAX} results")));
    }
    results
}

/// One check: looks, and compares each assertion.
async fn one(check: &Check) -> Vec<CheckResult> {
    let found = if check.skip {
        None
    } else {
        let looked = tokio::time::timeout(check.timeout, look::at(check)).await;
        Some(looked.unwrap_or_else(|_| Err(format!("no answer within {} ms", check.timeout.as_millis()))))
    };
    let judge = |assertion: &super::Assertion| {
        let name = format!("{}:{}.{}", check.subject.key(), check.name, assertion.attribute);
        let expected = &assertion.expected;
        match &found {
            None => result(name, true, "skipped"),
            Some(Err(error)) => result(name, false, error),
            Some(Ok(found)) => match found.iter().find(|(attribute, _)| *attribute == assertion.attribute) {
                Some((_, value)) if expected.holds(value) => result(name, true, &expected.to_string()),
                Some((attribute, value)) => {
                    result(name, false, &format!("expected {expected}, found {}", told(attribute, value)))
                }
                None => result(name, false, &format!("expected {expected}, but it is not there")),
            },
        }
    };
    check.assertions.iter().map(judge).collect()
}

/// What was found, as far as it may leave the machine: a file's contents may be secret.
fn told(attribute: &str, value: &Value) -> String {
    match value {
        Value::Lines(text) if attribute == "contents" => format!("{} lines without", text.lines().count()),
        value => value.to_string(),
    }
}

fn result(name: String, passed: bool, detail: &str) -> CheckResult {
    CheckResult { name: cut(&name, NAME_MAX), passed, detail: cut(detail, DETAIL_MAX) }
}

/// One line without control characters, and not long.
fn cut(text: &str, max: usize) -> String {
    let cut: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match beginning(&cut, max) {
        all if all.len() == cut.len() => cut,
        _ => format!("{}…", beginning(&cut, max - '…'.len_utf8())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    async fn check(text: &str, expected: Expect) {
        let results = run([("checks/test.yaml", text)]).await;
        let lines: Vec<_> = results
            .iter()
            .map(|result| {
                format!("{} {} {}", if result.passed { "ok " } else { "not" }, result.name, result.detail)
            })
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[tokio::test]
    async fn commands_are_judged_by_status_and_output() {
        check(
            "
command:
  echo 'one two':
    stdout: [two, '!three', '/^one/']
  two lines:
    exec: printf 'a\\nb\\n'
    stdout: {have-len: 2}
  failing:
    exec: exit 3
    shell: true
    exit-status: 3
  unexpected:
    exec: 'false'
  loud:
    exec: echo out; echo err >&2
    shell: true
    stdout: [err]
    stderr: [err]
  missing: {exec: /nonexistent/program}
",
            expect![[r#"
                ok  command:echo 'one two'.exit-status 0
                ok  command:echo 'one two'.stdout something with "two" and not something with "three" and something like /^one/
                ok  command:two lines.exit-status 0
                ok  command:two lines.stdout a length of 2
                ok  command:failing.exit-status 3
                not command:unexpected.exit-status expected 0, found 1
                ok  command:loud.exit-status 0
                not command:loud.stdout expected something with "err", found "out"
                ok  command:loud.stderr something with "err"
                not command:missing.exit-status failed to run /nonexistent/program: No such file or directory (os error 2)"#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let began = std::time::Instant::now();
        check(
            "command: {hangs: {exec: 'sleep 3600 & sleep 3600', shell: true, timeout: 200}}",
            expect!["not command:hangs.exit-status no answer within 200 ms"],
        )
        .await;
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_command_that_floods_is_read_to_a_limit_and_goes_on() {
        check(
            "command: {flood: {exec: 'head -c 10000000 /dev/zero | tr \"\\\\0\" x; exit 7', shell: true, exit-status: 7}}",
            expect!["ok  command:flood.exit-status 7"],
        )
        .await;
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_one_failed_result() {
        check(
            "fiel: {}\n",
            expect!["not checks/test.yaml line 1: there is no kind of check `fiel`; did you mean `file`?"],
        )
        .await;
    }

    #[tokio::test]
    async fn skipped_checks_say_so_and_contents_are_not_told() {
        check(
            "file: {/proc/sys/kernel/ostype: {contents: [secret]}, /x: {exists: true, skip: true}}",
            expect![[r#"
                not file:/proc/sys/kernel/ostype.contents expected something with "secret", found 1 lines without
                ok  file:/x.exists skipped"#]],
        )
        .await;
    }

    #[tokio::test]
    async fn results_are_bounded() {
        let many: String = (0..150).map(|n| format!("  /x{n}: {{exists: false, size: 1, mode: \"1\", owner: a, group: b, linked-to: c, sha256: d, contents: [e]}}\n")).collect();
        let results = run([("a", format!("file:\n{many}").as_str())]).await;
        assert_eq!(results.len(), LIST_MAX);
        assert!(results.last().is_some_and(|last| last.detail.contains("more than")));
    }
}
