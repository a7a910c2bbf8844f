//! Templates: ours as they were, what is wrong with others, and what bounds them.

use super::*;
use crate::system::tests::ZONE;
use expect_test::{Expect, expect, expect_file};
use model::finding::File;
use model::view::Ports;

/// The zone of the other tests, whose machines boot an installer with these templates.
fn plan(image: &str, files: &[(&str, &str)]) -> (Plan, Vec<File>) {
    let zone = ZONE.replace("role \"store\" {", "role \"store\" {\n  boot = image.installer");
    compiled(&format!("{zone}\nimage \"installer\" {{\n  kernel = \"vmlinuz\"\n{image}\n}}\n"), files)
}

fn compiled(zone: &str, files: &[(&str, &str)]) -> (Plan, Vec<File>) {
    let mut files: Vec<File> =
        files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
    files.push(File { path: "zone.hcl".into(), text: zone.into() });
    let (design, findings) = design::parse(&files);
    let design = design.unwrap_or_else(|| panic!("{findings:#?}"));
    let (plan, findings) = plan::compile(design, None);
    (plan.unwrap_or_else(|| panic!("{findings:#?}")), files)
}

fn rendered(plan: &Plan, name: &str) -> Option<Result<String, Failure>> {
    rendered_by(plan, name, Some(&[0xcd; 32]))
}

/// By a controller that has this agent to give.
fn rendered_by(plan: &Plan, name: &str, agent_sha256: Option<&[u8; 32]>) -> Option<Result<String, Failure>> {
    let machine = plan.design.devices.iter().position(|device| device.location.as_str() == "t1/p1/r1/u1");
    let asking = Asking {
        plan,
        device: DeviceId::from_index(machine.unwrap()),
        seen: &[("eno1".to_owned(), Mac([2, 0, 0, 0, 0, 1]))],
        controllers: &["10.64.0.2".parse().unwrap(), "10.64.0.3".parse().unwrap()],
        near: &[],
        ports: Ports::default(),
        ca_sha256: &[0xab; 32],
        agent_sha256,
        proxy: Some("http://10.64.0.9:3142"),
    };
    text(&asking, &plan.design.images[0], name)
}

/// A template of the user's, as rendered, or as it failed.
fn check(template: &str, expected: Expect) {
    let (plan, _) = plan("template \"x\" { file = \"x.j2\" }", &[("x.j2", template)]);
    let text = match rendered(&plan, "x").expect("it has one") {
        Ok(text) => text,
        Err(Failure { template, line, sentence }) => format!("{template}:{line}: {sentence}"),
    };
    expected.assert_eq(&text);
}

fn check_findings(image: &str, files: &[(&str, &str)], expected: Expect) {
    let (plan, files) = plan(image, files);
    let mut text = String::new();
    for finding in findings(&files, &plan) {
        let file = &files[usize::from(finding.source.file)];
        let line = file.text[..finding.source.start as usize].lines().count().max(1);
        let place = &file.text[finding.source.start as usize..finding.source.end as usize];
        text += &format!("{}:{line} {place:?} {finding}\n", file.path);
        text += &finding.help.map(|help| format!("  help: {help}\n")).unwrap_or_default();
    }
    expected.assert_eq(&text);
}

/// Each of ours, for a machine with a bond and a tagged network.
#[test]
fn ours_are_what_they_were() {
    let all: String = TEXTS.iter().map(|(name, _)| format!("  template \"{name}\" {{}}\n")).collect();
    let (plan, files) = plan(&format!("  installs = true\n{all}"), &[]);
    for (name, _) in TEXTS {
        let text = rendered(&plan, name).unwrap().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        expect_file![format!("../../tests/templates/{name}")].assert_eq(&text);
    }
    assert_eq!(findings(&files, &plan), []);
}

/// A role without bonds and RAID, whose layout Debian's and Fedora's installers can follow.
#[test]
fn a_layout_is_followed() {
    let layout = "layout \"small\" {\n  disks = { count = 1, kind = \"ssd\", size = \"960GB\" }\n  root  = \"8GiB\"\n  \
                  volume \"log\" {\n    mount = \"/var/log\"\n    size  = \"2GiB\"\n  }\n  volume \"data\" {\n    mount = \"/srv\"\n  }\n}\n";
    let zone = |layout: &str| {
        let image = "image \"installer\" {\n  kernel = \"vmlinuz\"\n  template \"preseed.cfg\" {}\n  template \"ks.cfg\" {}\n}";
        let role = "role \"store\" {\n  boot  = image.installer\n  disks = layout.small";
        compiled(&format!("{}\n{image}\n{layout}", ZONE.replace("role \"store\" {", role)), &[]).0
    };
    let plan = zone(layout);
    let mut text = String::new();
    for (name, first, behind) in
        [("preseed.cfg", "partman", "base-installer"), ("ks.cfg", "zerombr", "bootloader")]
    {
        let whole = rendered(&plan, name).unwrap().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        let disks =
            whole.lines().skip_while(|line| !line.contains(first)).take_while(|line| !line.contains(behind));
        text.extend(disks.map(|line| format!("{line}\n")));
    }
    expect_file!["../../tests/templates/layout"].assert_eq(&text);
    let raid = zone(&layout.replace("count = 1", "count = 2").replace("  root", "  raid  = 1\n  root"));
    for name in ["preseed.cfg", "ks.cfg"] {
        let failure = rendered(&raid, name).unwrap().unwrap_err();
        assert!(failure.sentence.contains("does not follow a layout with RAID"), "{failure:?}");
    }
}

#[test]
fn a_controller_without_an_agent_gives_none() {
    let all: String = TEXTS.iter().map(|(name, _)| format!("  template \"{name}\" {{}}\n")).collect();
    let (plan, _) = plan(&format!("  installs = true\n{all}"), &[]);
    for (name, _) in TEXTS {
        let text =
            rendered_by(&plan, name, None).unwrap().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert!(!text.contains("zw-agent"), "{name}: {text}");
    }
}

#[test]
fn what_is_ignition_is_json() {
    let (plan, _) = plan("  installs = true\ntemplate \"config.ign\" {}", &[]);
    let text = rendered(&plan, "config.ign").unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["ignition"]["version"], "3.3.0");
    assert_eq!(value["storage"]["files"][0]["contents"]["source"], "data:,p1-r1-u1%0A");
}

#[test]
fn values_are_written_as_their_context_needs() {
    check(
        "{{ machine.name }} {{ 'it\\'s $HOME' | shell }} {{ machine.location | shell }} {{ '' | shell }}\n\
         {{ 'a \"b\"\\n: c' | tojson }} {{ ssh_keys | tojson }} {{ '<a&b> c' | urlencode }}\n",
        expect![[r#"
            p1-r1-u1 'it'\''s $HOME' t1/p1/r1/u1 ''
            "a \"b\"\n: c" ["ssh-ed25519 AAAA one@example.net"] %3Ca%26b%3E%20c
        "#]],
    );
}

#[test]
fn what_is_not_there_is_an_error_at_its_line() {
    check("one\n{{ machine.nmae }}\n", expect!["x.j2:2: undefined value"]);
    check("{% if machine.nmae %}x{% endif %}", expect!["x.j2:1: undefined value"]);
    check(
        "\n\n{{ layout }}",
        expect![[
            r#"x.j2:3: invalid operation: there is no value for this machine; ask for it with `if`, or write `or` and another"#
        ]],
    );
    check("{{ layout or 'none' }}", expect!["none"]);
    check("{{ fail('no ' ~ machine.name) }}", expect!["x.j2:1: invalid operation: no p1-r1-u1"]);
    check("{% if %}", expect!["x.j2:1: syntax error: unexpected end of block"]);
    check(
        "{% include '/etc/passwd' %}",
        expect!["x.j2:1: template not found: tried to include non-existing template '/etc/passwd'"],
    );
    check(
        "{% include '../zone.hcl' %}",
        expect!["x.j2:1: template not found: tried to include non-existing template '../zone.hcl'"],
    );
    check("{{ debug() }}", expect!["x.j2:1: unknown function: debug is unknown"]);
}

#[test]
fn steps_depth_and_output_are_bounded() {
    check(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        expect!["x.j2:1: engine ran out of fuel"],
    );
    check(
        "{% for a in range(9999) %}{{ 'x' * 100 }}{% endfor %}",
        expect!["x.j2:0: the text is longer than 512 KiB"],
    );
    check(
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        expect!["x.j2:1: invalid operation: recursion limit exceeded"],
    );
    check("{% include 'x.j2' %}", expect!["x.j2:1: invalid operation: recursion limit exceeded"]);
    check("{{ 'x' * 10**9 }}", expect!["x.j2:1: invalid operation: repeated string is too large"]);
    check("{{ range(10**9) }}", expect!["x.j2:1: invalid operation: range has too many elements"]);
}

#[test]
fn ours_are_extended() {
    check(
        "{% extends 'zw/meta-data' %}",
        expect![[r##"
            instance-id: "t1/p1/r1/u1#0"
            local-hostname: "p1-r1-u1"
        "##]],
    );
    let (plan, _) = plan(
        "template \"preseed.cfg\" { file = \"p.j2\" }",
        &[(
            "p.j2",
            "{% extends 'zw/preseed.cfg' %}{% block mirror %}\nd-i mirror/http/proxy string http://10.0.0.1:3128\n{% endblock %}",
        )],
    );
    let text = rendered(&plan, "preseed.cfg").unwrap().unwrap();
    assert!(text.contains("\nd-i mirror/http/proxy string http://10.0.0.1:3128\n"), "{text}");
    assert!(!text.contains("deb.debian.org") && text.contains("/boot/installed"), "{text}");
}

#[test]
fn an_image_serves_what_it_names() {
    let (plan, _) = plan("template \"x\" { file = \"x.j2\" }", &[("x.j2", "x"), ("y.j2", "y")]);
    assert_eq!(rendered(&plan, "x"), Some(Ok("x".to_owned())));
    for name in ["y", "y.j2", "x.j2", "preseed.cfg", "zw/preseed.cfg", ""] {
        assert_eq!(rendered(&plan, name), None, "{name}");
    }
}

#[test]
fn a_design_says_what_is_wrong_with_its_templates() {
    check_findings(
        "template \"x\" { file = \"x.j2\" }\ntemplate \"again\" { file = \"x.j2\" }",
        &[("x.j2", "one\n  {{ machine.nmae }} \n")],
        expect![[r#"
            x.j2:2 "{{ machine.nmae }}" ZW0213: undefined value (as `x`, for t1/p1/r1/u1)
        "#]],
    );
    check_findings(
        "",
        &[("unused.j2", "{% if %}")],
        expect![[r#"
        unused.j2:1 "{% if %}" ZW0213: syntax error: unexpected end of block
    "#]],
    );
    check_findings(
        "template \"nothing\" {}",
        &[],
        expect![[r#"
            zone.hcl:52 "\"nothing\"" ZW0211: there is no template `zw/nothing` of Zonewright's own
              help: write `file = "templates/x.j2"`, a file of the design, or one of `zw/agent.sh`, `zw/autoinstall`, `zw/cloud-config`, `zw/config.ign`, `zw/ks.cfg`, `zw/meta-data`, `zw/network-config`, `zw/preseed.cfg`, `zw/user-data`
        "#]],
    );
    check_findings(
        "template \"preseed.cfg\" { file = \"x.j2\" }",
        &[
            (
                "x.j2",
                "{% extends 'zw/preseed.cfg' %}\n{% block disks %}\n{% include 'y.j2' %}\n{% endblock %}",
            ),
            ("y.j2", "{{ nowhere }}"),
        ],
        expect![[r#"
            y.j2:1 "{{ nowhere }}" ZW0213: undefined value (as `preseed.cfg`, for t1/p1/r1/u1)
        "#]],
    );
}
