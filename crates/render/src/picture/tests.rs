//! What every sheet must hold, for the examples: well-formed XML, no text over another or outside the sheet, and everything once.

use super::*;
use model::Plan;
use model::finding::File;

mod reader;

/// An example's plan.
fn example(name: &str) -> Plan {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a: &File, b| a.path.cmp(&b.path));
    of(&files)
}

fn collect(root: &std::path::Path, directory: &std::path::Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            collect(root, &path, files);
        } else if ["hcl", "csv", "yaml"].iter().any(|kind| name.ends_with(kind)) {
            #[expect(clippy::disallowed_methods, reason = "a test reads the examples")]
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(File { path: name, text: text.into() });
        }
    }
}

fn of(files: &[File]) -> Plan {
    let (design, found) = design::parse(files);
    let (plan, more) = plan::compile(design.unwrap_or_else(|| panic!("{found:#?}")), None);
    plan.unwrap_or_else(|| panic!("{more:#?}"))
}

const EXAMPLES: [&str; 5] = ["pocket", "metal", "hundred", "wiring", "ten-thousand"];
const PAPERS: [Paper; 4] = [Paper::A4, Paper::A3, Paper::Letter, Paper::Tabloid];

/// Each of the plan's, exactly once.
fn once(what: &str, sheets: &[Sheet], expected: impl Iterator<Item = String>) {
    let mut shown: Vec<String> = sheets.iter().flat_map(|sheet| reader::values(&sheet.svg, what)).collect();
    let mut expected: Vec<String> = expected.collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown.len(), expected.len(), "{what}");
    assert!(shown == expected, "{what}");
}

fn good(sheets: &[Sheet]) {
    let mut names: Vec<&str> = sheets.iter().map(|sheet| sheet.name.as_str()).collect();
    for sheet in sheets {
        reader::check(&sheet.name, &sheet.svg);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sheets.len(), "two sheets have one name");
}

#[test]
fn elevations_show_each_device_once() {
    for name in EXAMPLES {
        let plan = example(name);
        let all = Places::of(&plan, &[]).unwrap();
        for paper in PAPERS.into_iter().take(if name == "ten-thousand" { 1 } else { 4 }) {
            for row in [false, true] {
                let sheets = elevations(&plan, &all, Elevations { paper, row });
                good(&sheets);
                once("device", &sheets, plan.design.devices.iter().map(|device| device.location.to_string()));
                assert!(elevations(&plan, &all, Elevations { paper, row }) == sheets, "the same again");
            }
        }
    }
}

/// Machines that are two and three units high take so many, and those that would reach into others what is left.
#[test]
fn high_machines_take_their_units() {
    let check = |height: u32, rows: usize| {
        let mut plan = example("pocket");
        let design = std::sync::Arc::make_mut(&mut plan.design);
        design.models.iter_mut().for_each(|model| model.height = height);
        // u01 and u04 are left: three units for the one, and as many as it wants for the other.
        for device in &mut design.devices {
            if device.location.leaf() == "u02" || device.location.leaf() == "u03" {
                device.slot += 8;
            }
        }
        let places = Places::of(&plan, &["p01/r1".into()]).unwrap();
        for row in [false, true] {
            let sheets = elevations(&plan, &places, Elevations { paper: Paper::A4, row });
            good(&sheets);
            let dashed = sheets[0].svg.matches("class=\"free\"").count();
            assert_eq!(dashed, rows, "{height}");
        }
    };
    check(1, 16 - 4);
    check(2, 16 - 7);
    check(3, 16 - 3 - 3 - 1 - 3);
}

#[test]
fn a_place_that_is_not_there_is_named_with_what_was_meant() {
    let plan = example("pocket");
    let names = |targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
        let places = Places::of(&plan, &targets)?;
        let all = elevations(&plan, &places, Elevations { paper: Paper::A4, row: false });
        Ok::<_, String>(all.into_iter().map(|sheet| sheet.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&[]).unwrap(), "elevation-lab1 elevation-p01-r1 elevation-p02-r1");
    assert_eq!(names(&["p02"]).unwrap(), "elevation-p02-r1");
    assert_eq!(names(&["lab1/p01/r1"]).unwrap(), "elevation-p01-r1");
    assert_eq!(names(&["rack=r1"]).unwrap(), "elevation-p01-r1 elevation-p02-r1");
    assert_eq!(names(&["pod=p01,rack=r1"]).unwrap(), "elevation-p01-r1");
    assert_eq!(names(&["p01/r2"]).unwrap_err(), "the zone has no rack or pod p01/r2; did you mean p01/r1?");
    assert_eq!(
        names(&["role=x"]).unwrap_err(),
        "`role=x`: a selector of racks may name pod and rack: pod=p01,rack=r1"
    );
}

/// A cable as its sheets name it: the outer end first.
fn cable_words(plan: &Plan, cable: &model::design::Cable) -> [String; 2] {
    let design = &plan.design;
    let (outer, inner) = index::outer_first(design, cable);
    [outer, inner].map(|end| {
        let device = &design.devices[end.device.index()];
        format!("{} {}", device.name, design.models[device.model.index()].ports[end.port.index()])
    })
}

#[test]
fn pull_lists_and_labels_have_each_cable() {
    for name in EXAMPLES {
        let plan = example(name);
        let all = Places::of(&plan, &[]).unwrap();
        let pulls = Pulls::of(&plan, &all);
        let cables = || plan.design.cables.iter().map(|cable| cable_words(&plan, cable));
        for paper in PAPERS.into_iter().take(if name == "ten-thousand" { 1 } else { 4 }) {
            let sheets = pulls.sheets(paper);
            good(&sheets);
            once("cable", &sheets, cables().map(|ends| ends.join(" ")));
        }
        assert_eq!(pulls.csv().lines().count(), plan.design.cables.len() + 1);
        assert_eq!(
            pulls.text().lines().filter(|line| line.starts_with("[ ]")).count(),
            plan.design.cables.len()
        );
        for (stock, cable, skip) in
            [(Stock::A4_48, 3.0, 0), (Stock::A4_24, 6.0, 5), (Stock::LETTER_30, 4.0, 29)]
        {
            let sheets = labels(&pulls, Labels { stock, cable, skip }).unwrap();
            good(&sheets);
            once("label", &sheets, cables().flat_map(|[a, b]| [format!("{a} {b}"), format!("{b} {a}")]));
            if name == "ten-thousand" {
                break;
            }
        }
        assert_eq!(labels_csv(&pulls).lines().count(), 2 * plan.design.cables.len() + 1);
    }
}

/// The pocket zone with other names.
fn named(name: impl Fn(&model::design::Device) -> String) -> Plan {
    let mut plan = example("pocket");
    let design = std::sync::Arc::make_mut(&mut plan.design);
    design.devices.iter_mut().for_each(|device| device.name = name(device));
    plan
}

#[test]
fn a_label_says_its_ends_whole_and_all_of_a_set_in_one_size() {
    let check = |plan: &Plan, stock: Stock, expected: &str| {
        let pulls = Pulls::of(plan, &Places::of(plan, &[]).unwrap());
        let sheets = labels(&pulls, Labels { stock, cable: 3.0, skip: 0 }).unwrap();
        good(&sheets);
        let texts: Vec<_> = sheets.iter().flat_map(|sheet| reader::texts(&sheet.svg, "label")).collect();
        for label in texts.chunk_by(|a, b| a.0 == b.0) {
            let said: String = label.iter().map(|(_, _, words)| words.as_str()).collect();
            // Both halves say the same.
            let whole = label[0].0.repeat(2);
            assert_eq!(said.replace(['→', ' '], ""), whole.replace(' ', ""));
        }
        let mut sizes: Vec<&str> = texts.iter().map(|(_, size, _)| size.as_str()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert_eq!(sizes, [expected]);
    };
    let small = |plan: &Plan, stock: Stock| {
        let pulls = Pulls::of(plan, &Places::of(plan, &[]).unwrap());
        labels(&pulls, Labels { stock, cable: 3.0, skip: 0 }).unwrap_err().words
    };
    let place = |device: &model::design::Device| device.location.within_zone().replace('/', "-");
    let long = named(|device| match device.kind {
        model::design::DeviceKind::Machine => format!("hypervisor-with-quite-long-name-{}", place(device)),
        _ => device.name.clone(),
    });
    check(&example("pocket"), Stock::A4_48, "2.29");
    check(&named(|device| format!("compute-fra1-{}", place(device))), Stock::A4_48, "1.9");
    check(&long, Stock::A4_48, "1.95");
    check(&long, Stock::A4_24, "3");
    // Long at both ends: it is said, and nothing is left out.
    let all_long = named(|device| format!("a-device-with-quite-a-long-name-{}", place(device)));
    assert_eq!(
        small(&all_long, Stock::A4_48),
        "a-device-with-quite-a-long-name-ctl1 eno1 a-device-with-quite-a-long-name-core-c1 swp32"
    );
    check(&all_long, Stock::A4_24, "2.45");
    // No place to part it: anywhere.
    check(&named(|device| format!("x{}", place(device).replace('-', "x").repeat(2))), Stock::A4_24, "2.45");
}

#[test]
fn the_address_plan_has_each_block_once() {
    for name in EXAMPLES {
        let plan = example(name);
        let all = Places::of(&plan, &[]).unwrap();
        for paper in PAPERS.into_iter().take(if name == "ten-thousand" { 1 } else { 4 }) {
            let sheets = addresses(&plan, &all, paper);
            good(&sheets);
            // A part of a prefix or of a figure is worse than none.
            for (_, _, words) in sheets.iter().flat_map(|it| reader::texts(&it.svg, "block")) {
                assert!(!words.contains('…'), "{name}: {words}");
            }
            let mut shown: Vec<String> =
                sheets.iter().flat_map(|it| reader::values(&it.svg, "block")).collect();
            let blocks = plan
                .aggregates
                .iter()
                .flat_map(|it| [it.v4.map(|it| it.to_string()), it.v6.map(|it| it.to_string())]);
            let nets = plan
                .subnets
                .iter()
                .flat_map(|it| [it.v4.map(|it| it.to_string()), it.v6.map(|it| it.to_string())]);
            let mut expected: Vec<String> = blocks.chain(nets).flatten().collect();
            shown.sort();
            expected.sort();
            assert!(shown == expected, "{name}: {} of {}", shown.len(), expected.len());
        }
    }
}

#[test]
fn a_pull_list_as_text() {
    let plan = example("pocket");
    let pulls = Pulls::of(&plan, &Places::of(&plan, &["p01/r1".into()]).unwrap());
    expect_test::expect![[r#"
        p01/r1: 15 cables
        [ ]  core-c1        swp1  p01-r1-leaf-a  swp32  –
        [ ]  core-c1        swp2  p01-r1-leaf-b  swp32  –
        [ ]  core-c1        swp3  p01-r1-lom     swp32  –
        [ ]  p01-r1-leaf-a  swp1  hv-p01-r1-u01  eno1   1.5 m
        [ ]  p01-r1-leaf-a  swp2  hv-p01-r1-u02  eno1   1.5 m
        [ ]  p01-r1-leaf-a  swp3  hv-p01-r1-u03  eno1   1.5 m
        [ ]  p01-r1-leaf-a  swp4  hv-p01-r1-u04  eno1   1.5 m
        [ ]  p01-r1-leaf-b  swp1  hv-p01-r1-u01  eno2   1.5 m
        [ ]  p01-r1-leaf-b  swp2  hv-p01-r1-u02  eno2   1.5 m
        [ ]  p01-r1-leaf-b  swp3  hv-p01-r1-u03  eno2   1.5 m
        [ ]  p01-r1-leaf-b  swp4  hv-p01-r1-u04  eno2   1.5 m
        [ ]  p01-r1-lom     swp1  hv-p01-r1-u01  bmc    1.5 m
        [ ]  p01-r1-lom     swp2  hv-p01-r1-u02  bmc    1.5 m
        [ ]  p01-r1-lom     swp3  hv-p01-r1-u03  bmc    1.5 m
        [ ]  p01-r1-lom     swp4  hv-p01-r1-u04  bmc    1.5 m
    "#]]
    .assert_eq(&pulls.text());
    expect_test::expect![[r#"
        Place,ToDevice,ToPort,FromDevice,FromPort,FromUnit,LengthM,BandWidth,VlanID,Done
        p01/r1,core-c1,swp1,p01-r1-leaf-a,swp32,,,,,
        p01/r1,core-c1,swp2,p01-r1-leaf-b,swp32,,,,,
        p01/r1,core-c1,swp3,p01-r1-lom,swp32,,,,,"#]]
    .assert_eq(&pulls.csv().lines().take(4).collect::<Vec<_>>().join("\n"));
}

#[test]
fn cabling_shows_each_cable_once_port_by_port_and_all_of_them_in_tiers() {
    for name in EXAMPLES {
        let plan = example(name);
        let all = Places::of(&plan, &[]).unwrap();
        for paper in PAPERS.into_iter().take(if name == "ten-thousand" { 1 } else { 4 }) {
            let sheets = cabling(&plan, &all, paper);
            good(&sheets);
            let design = &plan.design;
            let end = |end: model::design::PortRef| &design.devices[end.device.index()];
            once("cable", &sheets, design.cables.iter().map(|cable| cable_words(&plan, cable).join(" ")));
            let counted = |start: &str| -> usize {
                let sheets = sheets
                    .iter()
                    .filter(|sheet| sheet.name == start || sheet.name.starts_with(&format!("{start}-part")));
                sheets
                    .flat_map(|sheet| reader::values(&sheet.svg, "bundle"))
                    .map(|count| count.parse::<usize>().unwrap())
                    .sum()
            };
            // From afar: every cable that leaves its box.
            let far = |cable: &&model::design::Cable| {
                let (a, b) = (end(cable.a), end(cable.b));
                (a.pod.is_none() || a.pod != b.pod) && a.location != b.location
            };
            assert_eq!(
                counted(&format!("cabling-{}", design.zone.name)),
                design.cables.iter().filter(far).count(),
                "{name}"
            );
            for (number, pod) in design.pods.iter().enumerate() {
                let near = |cable: &&model::design::Cable| {
                    let (a, b) = (end(cable.a), end(cable.b));
                    [a, b].iter().any(|it| it.pod.is_some_and(|it| it.index() == number))
                        && a.location != b.location
                };
                let expected = design.cables.iter().filter(near).count();
                assert_eq!(
                    counted(&format!("cabling-{}", pod.location.leaf())),
                    expected,
                    "{name} {}",
                    pod.location
                );
            }
        }
    }
}

/// Boots of so many machines, a few per rack, as a seed says: some slow, some not there yet, one of long ago.
fn storm(machines: u64) -> Vec<Booted> {
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let begin = 1_795_243_503_000;
    let machine = |number: u64| {
        let mut at = if number == 7 { 1_000 } else { begin + random(20_000) };
        let mut events = Vec::new();
        let script = [
            ("seen", false),
            ("seen", false),
            ("booting", false),
            ("booting", true),
            ("booting", true),
            ("validating", false),
            ("ready", false),
        ];
        let kept = if number % 50 == 13 { 4 } else { script.len() };
        for (state, fetched) in script.into_iter().take(kept) {
            events.push(Happened { at, fetched, state: state.into() });
            at += 500 + random(9_000) * if number % 40 == 3 { 9 } else { 1 };
        }
        let (pod, rack, unit) = (number / 252 + 1, number / 36 % 7 + 1, number % 36 + 1);
        let location = model::Location::new(&format!("z/p{pod:02}/r{rack}/u{unit:02}"));
        Booted { name: format!("hv-p{pod:02}-r{rack}-u{unit:02}"), location, events }
    };
    (0..machines).map(machine).collect()
}

#[test]
fn a_storm_has_a_line_for_each_machine_and_a_large_one_for_each_rack() {
    for (machines, paper) in [(1, Paper::A4), (200, Paper::A4), (200, Paper::Letter), (10_080, Paper::A3)] {
        let storm = storm(machines);
        let sheets = boot("z", &storm, None, paper);
        good(&sheets);
        // The one of long ago is another storm.
        let here = storm.iter().enumerate().filter(|(number, _)| *number != 7).map(|(_, machine)| machine);
        if machines <= 400 {
            once("device", &sheets, here.map(|machine| machine.location.to_string()));
        } else {
            let mut racks: Vec<String> =
                here.map(|it| it.location.as_str().rsplit_once('/').unwrap().0.to_owned()).collect();
            racks.dedup();
            once("rack", &sheets, racks.into_iter());
        }
    }
    assert_eq!(boot("z", &[], None, Paper::A4), []);
}

/// The columns of a grid stand as the design counts them, from the middle of the network outwards: nothing in it can cross.
#[test]
fn columns_of_a_rack_s_cables_are_in_the_order_of_the_design() {
    let plan = example("hundred");
    let sheets = cabling(&plan, &Places::of(&plan, &["p1/r1".into()]).unwrap(), Paper::A4);
    let at = |words: &str| sheets[0].svg.find(&format!(">{words}<")).unwrap();
    let columns = ["core-c1", "core-c2", "leaf-a", "leaf-b", "lom"].map(at);
    assert!(columns.is_sorted(), "{columns:?}");
}

/// Machines that began then, each ready so long after, in milliseconds.
fn booted(begun: &[u64], took: u64) -> Vec<Booted> {
    let machine = |(number, begun): (usize, &u64)| {
        let events = [("seen", 0), ("booting", took / 3), ("validating", took / 2), ("ready", took)];
        Booted {
            location: model::Location::new(&format!("z/p1/r1/u{number}")),
            name: format!("u{number}"),
            events: events
                .map(|(state, after)| Happened { at: begun + after, fetched: false, state: state.into() })
                .to_vec(),
        }
    };
    begun.iter().enumerate().map(machine).collect()
}

#[test]
fn boots_are_together_as_long_as_what_is_between_them_is_short_against_them() {
    let check = |machines: &[Booted], since: Option<u64>, expected: &str| {
        let sheets = boot("z", machines, since, Paper::A4);
        good(&sheets);
        assert!(sheets[0].svg.contains(expected), "{}", sheets[0].svg);
    };
    let begun = [1_000, 1_000, 1_010, 1_020, 591_000, 628_000, 628_100, 628_200];
    let restarts = booted(&begun, 300);
    check(&restarts, None, "3 of 8 machines since 1970-01-01 00:10:28 UTC (5 booted before): 3 ready");
    check(
        &restarts,
        Some(591_000),
        "4 of 8 machines since 1970-01-01 00:09:51 UTC (4 booted before): 4 ready",
    );
    check(&restarts, Some(0), "8 of 8 machines since 1970-01-01 00:00:01 UTC: 8 ready");
    assert_eq!(boot("z", &restarts, Some(700_000), Paper::A4), []);
    // The same pauses between boots of five minutes.
    check(&booted(&begun, 300_000), None, "8 of 8 machines since");
}

#[test]
fn those_that_became_ready_last_are_seen() {
    let sheets = boot("z", &booted(&[1_000, 1_000, 9_000], 300), None, Paper::A4);
    let ready = sheets[0].svg.split("class=\"soft edge\" d=\"M").nth(1).unwrap().split('Z').next().unwrap();
    let points: Vec<(f64, f64)> = ready
        .split('L')
        .map(|point| point.split_once(' ').unwrap())
        .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
        .collect();
    let top = points.iter().map(|point| point.1).fold(f64::MAX, f64::min);
    let all: Vec<f64> = points.iter().filter(|point| point.1 == top).map(|point| point.0).collect();
    let (from, to) = (all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(0.0, f64::max));
    assert!(to - from > 2.0, "all are ready from {from} to {to}");
}

/// The pictures of the guide. `UPDATE_EXPECT=1 cargo test -p render picture` draws them anew.
#[test]
fn the_guide_shows_what_is_drawn() {
    let plan = example("pocket");
    let places = Places::of(&plan, &["p01".into()]).unwrap();
    let sheets = [
        elevations(&plan, &places, Elevations { paper: Paper::A4, row: false }),
        cabling(&plan, &places, Paper::A4),
    ]
    .concat();
    let drawn = |name: &str| &sheets.iter().find(|sheet| sheet.name == name).unwrap().svg;
    expect_test::expect_file!["../../../../docs/guides/pictures/elevation-p01-r1.svg"]
        .assert_eq(drawn("elevation-p01-r1"));
    expect_test::expect_file!["../../../../docs/guides/pictures/cabling-p01.svg"]
        .assert_eq(drawn("cabling-p01"));
}

/// What is written by hand in a design is text on a sheet, whatever it is.
#[test]
fn a_design_s_names_cannot_draw() {
    let evil = "</text><script>alert(1)</script>&\" onload='x' \u{202e}";
    let mut plan = example("pocket");
    let design = std::sync::Arc::make_mut(&mut plan.design);
    design.zone.name = evil.into();
    design.devices.iter_mut().for_each(|device| device.name = format!("{}{evil}", device.name));
    design.models.iter_mut().for_each(|model| {
        model.name = evil.into();
        model.ports.iter_mut().for_each(|port| *port = format!("{port}{evil}"));
    });
    design.roles.iter_mut().for_each(|role| role.name = evil.into());
    design.networks.iter_mut().for_each(|network| network.name = evil.into());
    let all = Places::of(&plan, &[]).unwrap();
    let pulls = Pulls::of(&plan, &all);
    let sheets = [
        elevations(&plan, &all, Elevations { paper: Paper::A4, row: false }),
        elevations(&plan, &all, Elevations { paper: Paper::A4, row: true }),
        cabling(&plan, &all, Paper::A4),
        addresses(&plan, &all, Paper::A4),
        labels(&pulls, Labels { stock: Stock::A4_24, cable: 3.0, skip: 0 }).unwrap(),
        pulls.sheets(Paper::A4),
    ];
    for sheet in sheets.iter().flatten() {
        reader::check(&sheet.name, &sheet.svg);
        assert!(!sheet.svg.contains("<script") && !sheet.svg.contains(" onload='"), "{}", sheet.name);
        assert!(!sheet.name.contains(['/', '<', '"']), "{}", sheet.name);
    }
    assert!(!html(evil, &sheets.concat()).contains("<script"));
}
