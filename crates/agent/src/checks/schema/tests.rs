//! Files of checks, and what is read from them.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

fn check(text: &str, expected: Expect) {
    let lines: Vec<String> = match parse(text) {
        Ok(checks) => checks
            .iter()
            .map(|check| {
                let expected: Vec<_> = check
                    .assertions
                    .iter()
                    .map(|assertion| format!("{} {}", assertion.attribute, assertion.expected))
                    .collect();
                let command =
                    if check.command.is_empty() { String::new() } else { format!(" {:?}", check.command) };
                format!("{}:{}{command} | {}", check.subject.key(), check.name, expected.join("; "))
            })
            .collect(),
        Err(problems) => problems.iter().map(|(line, sentence)| format!("line {line}: {sentence}")).collect(),
    };
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn the_table_is_in_the_order_of_the_subjects() {
    for (position, (subject, ..)) in TABLE.iter().enumerate() {
        assert_eq!(*subject as usize, position);
    }
}

#[test]
fn the_reference_lists_every_kind_and_attribute() {
    let reference = include_str!("../../../../../docs/reference/checks.md");
    for (_, kind, attributes) in &TABLE {
        let row = reference.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let row = row.unwrap_or_else(|| panic!("{kind} has no row"));
        for (attribute, _) in *attributes {
            assert!(row.contains(&format!("`{attribute}`")), "{attribute} is not in the row of {kind}");
        }
    }
    let rows = reference
        .lines()
        .skip_while(|line| !line.starts_with("## Kinds"))
        .take_while(|line| !line.starts_with("## Commands"));
    assert_eq!(rows.filter(|line| line.starts_with("| `")).count(), TABLE.len());
    for word in COMMON.iter().chain(&OF_COMMAND) {
        assert!(reference.contains(&format!("`{word}")), "{word}");
    }
}

#[test]
fn the_example_of_the_reference_is_read() {
    let reference = include_str!("../../../../../docs/reference/checks.md");
    for example in reference.split("```yaml\n").skip(1) {
        let example = example.split("```").next().expect("its end");
        assert!(parse(example).is_ok_and(|checks| !checks.is_empty()), "{:?}", parse(example));
    }
}

#[test]
fn a_goss_file_is_read_as_it_is() {
    check(
        r#"
file:
  /etc/passwd:
    exists: true
    mode: "0644"
    size: {lt: 100000}
    owner: root
    filetype: file
    contents: ["root:x:0", "!/^$/"]
package:
  qemu-kvm:
    installed: true
service:
  libvirtd: {enabled: true, running: true}
port:
  tcp:22: {listening: true, ip: [0.0.0.0]}
command:
  virsh version:
    exit-status: 0
    stdout: ["QEMU"]
    stderr: []
    timeout: 5000
  loaded:
    exec: "lsmod | grep -q kvm"
    shell: true
  listed:
    exec: [uname, -r]
kernel-param:
  net.ipv4.ip_forward: {value: "1"}
mount:
  /: {exists: true, filesystem: ext4, opts: [rw], usage: {lt: 95}}
dns:
  localhost: {resolveable: true, addrs: [127.0.0.1], timeout: 500}
"#,
        expect![[r#"
                file:/etc/passwd | exists true; mode 420; size less than 100000; owner "root"; filetype "file"; contents something with "root:x:0" and not something like /^$/
                package:qemu-kvm | installed true
                service:libvirtd | enabled true; running true
                port:tcp:22 | listening true; ip one that is "0.0.0.0"
                command:virsh version ["virsh", "version"] | exit-status 0; stdout something with "QEMU"; stderr anything
                command:loaded ["/bin/sh", "-c", "lsmod | grep -q kvm"] | exit-status 0
                command:listed ["uname", "-r"] | exit-status 0
                kernel-param:net.ipv4.ip_forward | value "1"
                mount:/ | exists true; filesystem "ext4"; opts one that is "rw"; usage less than 95
                dns:localhost | resolveable true; addrs one that is "127.0.0.1""#]],
    );
    check("", expect![""]);
    check("port: {}\n", expect![""]);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    check(
        "fiel:\n  /a: {exists: true}\nfile:\n  /b:\n    exist: true\n  c: {exists: yes}\n  /d:\ncommand:\n  a | b: {timeuot: 1}\nport:\n  tcp:99999: {listening: true}\n",
        expect![[r#"
                line 1: there is no kind of check `fiel`; did you mean `file`?
                line 5: there is no attribute of file `exist`; did you mean `exists`?
                line 6: `c` is no file: it is an absolute path
                line 6: `true` or `false` is wanted here, not `yes`
                line 7: nothing is expected of `/d`; write `exists: …`
                line 9: there is no attribute of command `timeuot`; did you mean `timeout`?
                line 9: `|` needs a shell: quote it, or write `shell: true`
                line 11: `tcp:99999` is no port: it is written `tcp:22`, with tcp, tcp6, udp or udp6"#]],
    );
    check("- a\n", expect!["line 1: a file of checks is a map of kinds, not a list"]);
    check("file: [a]\n", expect!["line 1: `file` is a map of names, not a list"]);
    check("file: {/a: 3}\n", expect!["line 1: `/a` is a map of attributes, not a single value"]);
    check(
        "command: {a: {exec: [a], shell: true}}\n",
        expect!["line 1: a list of words is run without a shell; write a text, or leave out `shell`"],
    );
    check("command: {a: {timeout: 0}}\n", expect!["line 1: a timeout is 1 to 120000 milliseconds"]);
    check(
        "http: {'https://h/': {status: 200}}\n",
        expect![
            "line 1: `https://h/` is no http: it is written `http://HOST[:PORT]/PATH`; for https, use a command"
        ],
    );
    check(
        "kernel-param: {../../etc/shadow: {value: x}}\n",
        expect!["line 1: `../../etc/shadow` is no kernel-param: it is a name such as `net.ipv4.ip_forward`"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(12), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n]{0,300}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_text_with_the_marks_of_yaml_is_read_or_refused(text in "[:{}\\[\\]&*!|>'\"%@?,# \n a-c-]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn a_good_file_with_pieces_changed_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..12, "[:{}\\[\\]&*!|>'\"%@?,#~ \n\t\u{e9}a0-]{0,4}"), 1..6),
    ) {
        let reference = include_str!("../../../../../docs/reference/checks.md");
        let example = reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let mut text: Vec<char> = example.expect("the first example").chars().collect();
        for (at, gone, put) in changes {
            let at = at.index(text.len());
            let end = (at + gone).min(text.len());
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let lines = text.lines().count();
        for problem in parse(&text).err().unwrap_or_default() {
            prop_assert!((1..=lines + 1).contains(&problem.0), "{problem:?}");
        }
    }
}
