//! What a text can make its reader do is bounded: huge, deep and multiplying designs end soon, in a finding.
//!
//! The sizes are such that time that grows with the square of the text would be minutes: no time is asserted, but such a
//! change shows as a test that does not end.

use model::finding::{File, Finding};
const MEGABYTE: usize = 1 << 20;

/// Long enough that a square of it is far beyond patience, short enough for a debug build.
const LONG: usize = 1 << 17;

const ZONE: &str = "zone \"a\" {\n  domain   = \"a.example\"\n  supernet = \"10.0.0.0/8\"\n  capacity = { pods = 16384, racks = 4096, units = 4096 }\n}\n\
    controller \"ctl1\" { model = \"box\" }\nmodel \"box\" {\n  kind = \"server\"\n  nics = [\"eno1\"]\n}\nmodel \"leaf\" {\n  kind  = \"switch\"\n  ports = \"swp{1..48}\"\n}\n";

fn file(path: &str, text: String) -> File {
    File { path: path.into(), text: text.into() }
}

/// The findings about some files, all of which are kept in mind.
fn findings(what: &str, files: &[File]) -> Vec<Finding> {
    let (design, findings) = design::parse(files);
    let has_error = findings.iter().any(|finding| finding.severity == model::Severity::Error);
    assert_eq!(design.is_none(), has_error, "{what} is refused for an error, and only then");
    assert!(findings.len() <= 500);
    findings
}

/// Some finding about a zone with this text after it holds these words.
fn check(text: &str, words: &str) {
    let shown = text.get(..60.min(text.len())).unwrap_or("text");
    let text = format!("{ZONE}{text}\n");
    let findings = findings(shown, &[file("zone.hcl", text.clone())]);
    let told = || findings.iter().map(|finding| finding.sentence.get(..200).unwrap_or(&finding.sentence));
    assert!(told().any(|sentence| sentence.contains(words)), "{shown}\n{:#?}", told().collect::<Vec<_>>());
    design::format(&text);
}

#[test]
fn depth() {
    for open in ["[", "{", "(", "a {\n", "x = [", "x = {", "x = (", "\"${", "a { b = ["] {
        let count = 2 * LONG / open.len();
        let words = if open.starts_with('"') { "not closed" } else { "nested deeper than 64 levels" };
        check(&open.repeat(count), words);
    }
    // Closed by the wrong half, again and again.
    check(&format!("{}{}", "{".repeat(LONG), "]".repeat(LONG)), "nested deeper than 64 levels");
    check(&format!("{}{}", "{".repeat(100), "]".repeat(LONG)), "does not close");
    // Within what brackets allow, but not what the parser does.
    check(&format!("x = {}1{}", "[".repeat(100), "]".repeat(100)), "nested deeper than 64 levels");
    check(&format!("x = {}1", "-".repeat(LONG)), "");
    check(&format!("x = {}true", "!".repeat(LONG)), "");
    check(&format!("x = {}1", "a ? b : ".repeat(20_000)), "");
    check(&format!("x = a{}", ".b".repeat(50_000)), "outside of every block");
    check(&format!("x = 1{}", " + 1".repeat(20_000)), "more than 128 operators");
}

#[test]
fn length() {
    check(&"<<".repeat(LONG), "");
    check(&format!("x = {}\n", "<<-".repeat(LONG)), "");
    check(&"<<E\n".repeat(LONG / 4), "never closed");
    check(&"\"\n".repeat(LONG), "not closed");
    check(&"/*".repeat(LONG), "never closed");
    check(&"]".repeat(LONG), "closes nothing");
    check(&"]\n".repeat(LONG), "closes nothing");
    check(&"\"a\" ".repeat(LONG / 4), "");
    check(&"x".repeat(2 * LONG), "");
    let keys: String = (0..50_000).map(|key| format!("k{key} = {key}\n")).collect();
    check(&keys, "outside of every block");
    check(&format!("image \"x\" {{\n{keys}}}"), "more than 1024 entries");
    check(&format!("image \"x\" {{\n  kernel = {{\n{keys}}}\n}}"), "more than 1024 entries");
    let keys: String = (0..1_000).map(|key| format!("k{key} = 1\n")).collect();
    check(&format!("x = {{\n{keys}}}\n").repeat(150), "too many long lists of entries");
    check(&"image \"x\" {}\n".repeat(50_000), "`image` needs `kernel`");
    let long = |letter: &str| letter.repeat(LONG / 2);
    check(&format!("image \"{}\" {{ kernel = \"k\" }}", long("a")), "at most 63 letters");
    let images = format!("image \"{}\" {{ kernel = \"k\" }}\n", long("a"));
    check(&format!("{images}role \"r\" {{ boot = \"{}\" }}", long("b")), "there is no image");
}

#[test]
fn patterns() {
    check("core \"c{1..4000000000}\" { model = \"leaf\" }", "stands for more than 16384 names");
    check(
        &format!("core \"c{}\" {{ model = \"leaf\" }}", "{1..2}".repeat(20)),
        "stands for more than 16384 names",
    );
    check(
        &format!("core \"c{}\" {{ model = \"leaf\" }}", "{1..4000000000}".repeat(8)),
        "stands for more than 16384",
    );
    check(
        &format!("core \"c{}\" {{ model = \"leaf\" }}", "{1..1}".repeat(50)),
        "a name of 301 bytes is too long",
    );
    let places = |block: usize| format!("at \"b{block}-{{1..16384}}\" {{ absent = true }}\n");
    check(&(0..200).map(places).collect::<String>(), "take more than 48 MiB");
    check(
        "pod \"p{1..16384}\" {\n  rack \"r{5000..9000}\" {\n    machines \"u{1..9}\" { model = \"box\" }\n  }\n}",
        "multiply to more than 2000000 places",
    );
    let models: String = (0..100)
        .map(|model| {
            format!(
                "model \"m{model}\" {{\n  kind = \"switch\"\n  ports = \"{}{{1..4096}}\"\n}}\n",
                "p".repeat(200)
            )
        })
        .collect();
    check(&models, "take more than 48 MiB");
}

#[test]
fn expressions_and_rules() {
    let sum = |terms: usize| format!("leaf.a.swp[{}]", vec!["(unit * 2 - unit)"; terms].join(" + "));
    let machines = |cable: &str| {
        format!("pod \"p1\" {{ rack \"r1\" {{\n leaf \"a\" {{ model = \"leaf\" }}\n machines \"u{{1..9}}\" {{\n model = \"box\"\n cable = {{ {cable} }}\n}}\n}} }}")
            .replace("{ rack", "{\n rack")
            .replace("} }", "}\n}")
    };
    check(&machines(&format!("eno1 = {}", sum(100))), "more than 128 numbers and operators");
    let rules: Vec<String> = (0..1_000).map(|rule| format!("e{rule} = null")).collect();
    let pods = machines(&rules.join("\n ")).replace("u{1..9}", "u{1..4096}").replace("r1", "r{1..4}");
    check(&pods, "stand for more than 8000000 cables");
}

#[test]
fn wiring_files() {
    let zone = format!("{ZONE}cabling \"w.csv\" {{}}\n");
    let wired = |rows: String| {
        let text = format!("StartDevice,StartPort,EndDevice,EndPort\n{rows}");
        let files = [file("w.csv", text), file("zone.hcl", zone.clone())];
        findings("a wiring file", &files)
    };
    assert!(wired("ctl1,eno1,elsewhere,swp1\n".repeat(50_000)).len() == 500);
    assert!(wired("\n".repeat(LONG)).is_empty());
    assert!(!wired(",".repeat(LONG)).iter().any(|finding| finding.sentence.is_empty()));
    assert!(!wired("\"".repeat(LONG)).is_empty());
    assert!(!wired(format!("a,b,c,\"{}", "d\n".repeat(LONG))).is_empty());
    let header = file("w.csv", "column,".repeat(LONG / 7));
    assert!(!findings("a long header", &[header, file("zone.hcl", zone.clone())]).is_empty());
    // Each block would read the whole file again.
    let twice = format!("{ZONE}{}", "cabling \"w.csv\" { wrong_rows = \"skip\" }\n".repeat(2_000));
    let rows = format!("StartDevice,StartPort,EndDevice,EndPort\n{}", "ctl1,eno1,x,y\n".repeat(50_000));
    let told = findings("one wiring file for many blocks", &[file("w.csv", rows), file("zone.hcl", twice)]);
    assert!(told.iter().any(|finding| finding.sentence == "the cabling of `w.csv` is written twice"));
}

#[test]
fn files() {
    let role = |role: usize| format!("role \"r{role}\" {{\n  check \"c.yaml\" {{}}\n}}\n");
    let roles: String = (0..300).map(role).collect();
    let files = [file("c.yaml", " ".repeat(MEGABYTE / 2)), file("zone.hcl", format!("{ZONE}{roles}"))];
    let told = findings("checks of many roles", &files);
    assert!(told.iter().any(|finding| finding.sentence.contains("files of checks of more than 64 MiB")));
    let long = findings("a long file", &[file("zone.hcl", " ".repeat(33 * MEGABYTE))]);
    assert!(long[0].sentence.contains("larger than 32 MiB"));
    let many: Vec<File> = (0..5).map(|n| file(&format!("{n}.hcl"), " ".repeat(15 * MEGABYTE))).collect();
    assert!(findings("long files", &many)[0].sentence.contains("75 MiB together, and 64 are read"));
}
