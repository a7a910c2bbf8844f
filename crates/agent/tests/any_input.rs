//! Any LLDP data unit and any file of checks is read or refused, within bounds. The checks are those of the fuzz targets
//! `lldp` and `checks`, which include this file; here they run with a fixed seed.

use agent::checks::{self, CHECKS_MAX, Value};
use agent::lldp;

/// The octets of a data unit, as any switch, or anybody who says to be one, may send them.
pub(crate) fn lldp(octets: &[u8]) {
    let read = lldp::parse(octets);
    assert_eq!(read, lldp::parse(octets));
    let Ok(pdu) = read else { return };
    let neighbour = pdu.neighbour();
    for words in [&pdu.chassis, &pdu.port, &neighbour.system, &neighbour.port] {
        assert!(words.len() <= 1024 && !words.chars().any(char::is_control), "{words:?}");
    }
    // What follows the end, or cannot be read, changes no mandatory field.
    let mut longer = octets.to_vec();
    longer.extend_from_slice(&[0xff; 3]);
    let again = lldp::parse(&longer).expect("its first fields are as they were");
    assert_eq!((again.chassis, again.port, again.ttl_seconds), (pdu.chassis, pdu.port, pdu.ttl_seconds));
}

/// A file of checks.
pub(crate) fn checks(text: &str) {
    match checks::parse(text) {
        Ok(read) => {
            assert!(read.len() <= CHECKS_MAX);
            let values = [
                Value::Flag(true),
                Value::Number(0),
                Value::Text("a".into()),
                Value::List(vec!["a".into()]),
                Value::Lines("a\nb\n".into()),
            ];
            for check in &read {
                assert!(!check.assertions.is_empty(), "a check asserts something: {check:?}");
                for assertion in &check.assertions {
                    assert!(!assertion.expected.to_string().is_empty());
                    for value in &values {
                        assertion.expected.holds(value);
                    }
                }
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            // A carriage return alone ends a line too (YAML 1.2.2 §5.4).
            let last = text.replace("\r\n", "\n").matches(['\n', '\r']).count() + 1;
            for (line, sentence) in &problems {
                assert!((1..=last).contains(line), "line {line} of {last}: {sentence}\n{text:?}");
                assert!(!sentence.is_empty());
            }
            assert!(problems.is_sorted_by_key(|(line, _)| *line), "in the order of the lines");
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod with_a_fixed_seed {
    use super::spoil::spoil;

    #[test]
    fn lldp() {
        let good = b"\x02\x07\x04\x02\0\0\0\0\x01\x04\x06\x05swp14\x06\x02\0\x78";
        let with = |tail: &[u8]| [&good[..], tail].concat();
        let samples = [
            with(b"\0\0"),
            with(b"\x08\x0aEthernet14\x0a\x0dp01-r1-leaf-a\xfe\x06\0\x80\xc2\x01\0\x01\0\0"),
            b"\x02\x06\x05\x01\x0a\0\0\x02\x04\x07\x03\x02\0\0\0\0\x0e\x06\x02\0\0\0\0".to_vec(),
            b"\x02\x12\x05\x02\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x09\x07Ethern\x1b[\x06\x02\0\x78".to_vec(),
        ];
        assert!(samples.iter().all(|sample| agent::lldp::parse(sample).is_ok()));
        let pieces: [&[u8]; 8] = [
            b"\0\0",
            b"\x0a\x01a",
            b"\x0b\xff",
            b"\xff\xff",
            b"\x06\x02\0\x01",
            b"\x08\0",
            "ü".as_bytes(),
            b"\xed\xa0\x80",
        ];
        spoil(&samples, &pieces, 100_000, super::lldp);
    }

    #[test]
    fn files_of_checks() {
        let samples = [
            "file:\n  /etc/passwd:\n    exists: true\n    mode: \"0644\"\n    size: {lt: 100000}\n    contents: [\"root:x:0\", \"!/^$/\"]\n",
            "port:\n  tcp:22: {listening: true, ip: [0.0.0.0]}\nkernel-param:\n  net.ipv4.ip_forward: {value: \"1\"}\n",
            "command:\n  loaded:\n    exec: \"lsmod | grep -q kvm\"\n    shell: true\n    stdout: ['/^port \\d+$/']\n  listed:\n    exec: [uname, -r]\n    timeout: 5000\n",
            "mount:\n  /: {exists: true, opts: [rw], usage: {and: [{ge: 1}, {not: {gt: 95}}]}}\ndns:\n  localhost: {addrs: {have-len: 1}}\n",
        ]
        .map(|text| text.as_bytes().to_vec());
        for sample in &samples {
            assert!(
                agent::checks::parse(&String::from_utf8_lossy(sample)).is_ok_and(|checks| !checks.is_empty())
            );
        }
        let pieces: [&[u8]; 27] = [
            b"\n",
            b"  ",
            b": ",
            b"- ",
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b"'",
            b"|\n",
            b">-\n",
            b"&a ",
            b"*a",
            b"!!str ",
            b"---\n",
            b"? ",
            b"#",
            b"\t",
            b"\r",
            b"%YAML 1.2\n",
            b"<<: ",
            b"{not: ",
            b"match-regexp: '(a{9}){9}'",
            b"~",
            "ü".as_bytes(),
            b"\\",
        ];
        spoil(&samples, &pieces, 15_000, |bytes| super::checks(&String::from_utf8_lossy(bytes)));
    }
}
