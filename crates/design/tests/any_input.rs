//! Any text is read, told what is wrong with it, and written in its canonical layout. The checks are those of the fuzz
//! targets `design` and `wiring_zone`, which include this file; here they run with a fixed seed.

use model::Design;
use model::finding::{Code, File, Finding, Severity, Source};
use std::collections::BTreeMap;

/// A design file, alone.
pub(crate) fn design(text: &str) {
    let (design, findings) = read(vec![file("zone.hcl", text)]);
    let Some(formatted) = design::format(text) else {
        assert!(
            design.is_none() || has_code(&findings, Code::Syntax),
            "a design that is read can be formatted"
        );
        return;
    };
    assert_eq!(design::format(&formatted).as_ref(), Some(&formatted), "twice is once");
    let (design_then, findings_then) = read(vec![file("zone.hcl", &formatted)]);
    let told = |findings: &[Finding]| -> BTreeMap<Code, usize> {
        let mut told = BTreeMap::new();
        findings.iter().for_each(|finding| *told.entry(finding.code).or_default() += 1);
        told
    };
    assert_eq!(told(&findings), told(&findings_then), "{findings:#?}\n{findings_then:#?}");
    assert_eq!(design.map(plain), design_then.map(plain), "layout changes nothing that is read");
}

/// A wiring file and its zone, read together.
pub(crate) fn wiring_zone(text: &str) {
    for wrong_rows in ["refuse", "skip"] {
        let zone = format!("{ZONE}\ncabling \"wires.csv\" {{ wrong_rows = \"{wrong_rows}\" }}\n");
        let (design, findings) = read(vec![file("wires.csv", text), file("zone.hcl", &zone)]);
        let Some(design) = design else { continue };
        assert!(design.cables.len() <= text.lines().count());
        let mut ends: Vec<_> = design.cables.iter().flat_map(|cable| [cable.a, cable.b]).collect();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), 2 * design.cables.len(), "a port holds one plug: {findings:#?}");
        for end in ends {
            let device = &design.devices[end.device.index()];
            assert!(end.port.index() < design.models[device.model.index()].ports.len());
        }
    }
}

const ZONE: &str = include_str!("../../../fuzz/one-rack.hcl");

fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

/// Reads files, and holds what is told of them to what every finding promises.
fn read(files: Vec<File>) -> (Option<Design>, Vec<Finding>) {
    let (design, findings) = design::parse(&files);
    let is_broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert!(design.is_none() || !is_broken, "{findings:#?}");
    assert!(design.is_some() || is_broken, "a design that is refused has an error");
    assert!(findings.len() <= 500);
    for finding in &findings {
        for source in std::iter::once(finding.source).chain(finding.related.iter().map(|(source, _)| *source))
        {
            let text = &files[usize::from(source.file)].text;
            let place = source.start as usize..source.end as usize;
            assert!(text.get(place).is_some(), "{finding} stands outside of its text: {source:?}");
        }
        assert!(!finding.sentence.is_empty());
    }
    (design, findings)
}

fn has_code(findings: &[Finding], code: Code) -> bool {
    findings.iter().any(|finding| finding.code == code)
}

/// Everything of a design but where it is written.
fn plain(mut design: Design) -> impl PartialEq + std::fmt::Debug {
    let nowhere = Source::default();
    design.zone.source = nowhere;
    design.models.iter_mut().for_each(|row| row.source = nowhere);
    design.networks.iter_mut().for_each(|row| row.source = nowhere);
    design.images.iter_mut().for_each(|row| row.source = nowhere);
    design.roles.iter_mut().for_each(|row| row.source = nowhere);
    design.dns_views.iter_mut().for_each(|row| row.source = nowhere);
    design.pods.iter_mut().for_each(|row| row.source = nowhere);
    design.racks.iter_mut().for_each(|row| row.source = nowhere);
    design.devices.iter_mut().for_each(|row| row.source = nowhere);
    design.cables.iter_mut().for_each(|row| row.source = nowhere);
    (
        (design.zone, design.models, design.networks, design.images, design.roles),
        (design.dns_views, design.pods, design.racks, design.devices, design.cables),
    )
}

#[cfg(test)]
#[path = "../../../fuzz/corpus.rs"]
#[expect(clippy::disallowed_methods, reason = "a corpus is a folder of files")]
mod corpus;
#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod with_a_fixed_seed {
    use super::corpus;
    use super::spoil::spoil;

    const PIECES: [&[u8]; 30] = [
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"\n",
        b"#",
        b"/*",
        b"*/",
        b"<<END\n",
        b"\nEND\n",
        b"${",
        b"{1..",
        b"..",
        b"=",
        b"-",
        b"0",
        b"99999999999999999999",
        "ü".as_bytes(),
        b"\0",
        b"null",
        b"unit",
        b"\\",
        b"\r",
        "\u{feff}".as_bytes(),
        b"? 1 : ",
        b"at \"p1/r1/u1\" { absent = true }\n",
        b"{pod}",
    ];

    #[test]
    fn designs() {
        let samples = [
            super::ZONE,
            include_str!("../../../examples/pocket/zone.hcl"),
            include_str!("../../../examples/hundred/exceptions.hcl"),
            "a = <<-E\n  x\n  E\nb = [1, -2, !true, (3 + 4) * 5 % 2] // c\nc = { d = x ? y : z, \"e\" = f.g[0].h }\n",
        ]
        .map(|text| text.as_bytes().to_vec());
        spoil(&samples, &PIECES, 1_000, |bytes| super::design(&String::from_utf8_lossy(bytes)));
    }

    #[test]
    fn wiring_files() {
        let pieces: [&[u8]; 4] = [b"\"", b",", b"\n", b"swp1"];
        let samples = [
            "StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID\n\
             p1-r1-u1,eno1,p1-r1-leaf-a,swp1,25000,1681-1712\np1-r1-u1,eno2,p1-r1-leaf-b,swp1,,\n",
            "start_device;start port\n",
        ]
        .map(|text| text.as_bytes().to_vec());
        spoil(&samples, &pieces, 300, |bytes| super::wiring_zone(&String::from_utf8_lossy(bytes)));
    }

    #[test]
    fn what_the_fuzzers_kept() {
        corpus::run("design", |bytes| super::design(&String::from_utf8_lossy(bytes)));
        corpus::run("wiring_zone", |bytes| super::wiring_zone(&String::from_utf8_lossy(bytes)));
    }
}
