//! Reading designs: 10,000 machines by rule, and 10,000 machines written out one by one with half of their cables in
//! a wiring file.

use criterion::{Criterion, criterion_group, criterion_main};
use model::finding::File;
use std::fmt::Write;
use std::hint::black_box;

const HEAD: &str = r#"
zone "z" {
  domain   = "z.example"
  supernet = "10.0.0.0/8"
  capacity = { pods = 64, racks = 32, units = 40 }
}
model "switch" {
  kind       = "switch"
  ports      = "swp{1..48}"
  circuit_id = "{port}"
}
model "node" {
  kind = "server"
  nics = "eno{1..2}"
}
controller "ctl1" {
  model = "node"
}
"#;

const RULED: &str = r#"
pod "p{01..40}" {
  rack "r{1..7}" {
    leaf "a" "b" {
      model = "switch"
    }
    machines "u{01..36}" {
      model = "node"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit] }
    }
  }
}
"#;

fn ruled() -> Vec<File> {
    vec![File { path: "zone.hcl".into(), text: format!("{HEAD}{RULED}").into() }]
}

fn written_out() -> Vec<File> {
    let mut text = HEAD.to_string();
    let mut wiring = "StartDevice,StartPort,EndDevice,EndPort,BandWidth\n".to_string();
    // Writing to a String does not fail.
    for pod in 1..=10 {
        let _ = writeln!(text, "pod \"p{pod}\" {{");
        for rack in 1..=28 {
            let _ = writeln!(text, "rack \"r{rack}\" {{\nleaf \"a\" \"b\" {{\nmodel = \"switch\"\n}}");
            for unit in 1..=36 {
                let _ = writeln!(
                    text,
                    "machine \"u{unit}\" {{\nmodel = \"node\"\ncable = {{ eno1 = leaf.a.swp[unit] }}\n}}"
                );
                let _ = writeln!(wiring, "p{pod}-r{rack}-u{unit},eno2,p{pod}-r{rack}-leaf-b,swp{unit},25000");
            }
            text.push_str("}\n");
        }
        text.push_str("}\n");
    }
    text.push_str("cabling \"wiring.csv\" {}\n");
    vec![
        File { path: "wiring.csv".into(), text: wiring.into() },
        File { path: "zone.hcl".into(), text: text.into() },
    ]
}

fn parse(c: &mut Criterion) {
    for (name, files) in
        [("10,080 machines by rule", ruled()), ("10,080 machines written out", written_out())]
    {
        let (design, findings) = design::parse(&files);
        assert!(findings.is_empty(), "{name}: {}", findings[0]);
        assert!(design.is_some_and(|design| design.cables.len() == 20_160));
        c.bench_function(&format!("parse {name}"), |b| b.iter(|| design::parse(black_box(&files))));
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
