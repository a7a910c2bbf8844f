//! How long a zone takes from text to view: parse, compile, document, diff and view, at 10,000 and 100,000 machines.
//!
//! Run with `cargo bench -p plan`; a name as argument runs one (`cargo bench -p plan -- compile`).

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use model::finding::File;
use model::view::Site;
use model::{Design, Facts, Plan};
use std::hint::black_box;
use std::sync::Arc;

const TEN_THOUSAND: &str = include_str!("../../../examples/ten-thousand/zone.hcl");

/// The ten thousand, or ten times as many pods.
fn files(pods: u32) -> Vec<File> {
    let text = if pods == 40 {
        TEN_THOUSAND.to_owned()
    } else {
        TEN_THOUSAND
            .replace("p{01..40}", &format!("p{{001..{pods}}}"))
            .replace("pods = 64", "pods = 512")
            .replace("10.32.0.0/13", "10.0.0.0/8")
            .replace("2001:db8:3200::/40", "2001:db8::/32")
            .replace("Ethernet{1..512}", "Ethernet{1..4096}")
            .replace("510 + number", "4000 + number")
    };
    vec![
        File { path: "checks/kvm.yaml".into(), text: "".into() },
        File { path: "zone.hcl".into(), text: text.into() },
    ]
}

fn design(files: &[File]) -> Design {
    let (design, findings) = design::parse(files);
    design.unwrap_or_else(|| panic!("{findings:#?}"))
}

fn plan(design: Design) -> Plan {
    let (plan, findings) = plan::compile(design, None);
    plan.unwrap_or_else(|| panic!("{findings:#?}"))
}

fn zones(criterion: &mut Criterion) {
    for pods in [40, 400] {
        let files = files(pods);
        let drawn = design(&files);
        let compiled = Arc::new(plan(drawn.clone()));
        let machines = drawn.devices.len();
        let mut group = criterion.benchmark_group(format!("{machines} devices"));
        group.sample_size(10);
        group.bench_function("parse", |bench| bench.iter(|| design(black_box(&files))));
        group.bench_function("compile", |bench| {
            bench.iter_batched(|| drawn.clone(), |design| plan(black_box(design)), BatchSize::PerIteration);
        });
        group.bench_function("document", |bench| bench.iter(|| plan::document(black_box(&compiled))));
        group.bench_function("JSON", |bench| {
            let document = plan::document(&compiled);
            bench.iter(|| serde_json::to_writer(std::io::sink(), black_box(&document)));
        });
        group.bench_with_input(BenchmarkId::new("view", "all"), &compiled, |bench, compiled| {
            let (facts, site) = (Facts::default(), Arc::new(Site::default()));
            bench.iter(|| plan::view(black_box(compiled), &facts, &site));
        });
        let mut changed = drawn.clone();
        changed.images.iter_mut().for_each(|image| image.args.push_str(" quiet"));
        let changed = plan(changed);
        let (before, after) = (plan::document(&compiled), plan::document(&changed));
        group.bench_function("diff, all reboot", |bench| {
            bench.iter(|| plan::diff(black_box(&before), &after))
        });
        let mut wider = drawn.clone();
        wider.zone.capacity.racks += 1;
        let wider = plan(wider);
        let wider = plan::document(&wider);
        group.bench_function("diff, all renumber", |bench| {
            bench.iter(|| plan::diff(black_box(&before), &wider))
        });
        group.finish();
    }
}

criterion_group!(benches, zones);
criterion_main!(benches);
