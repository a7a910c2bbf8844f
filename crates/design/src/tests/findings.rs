//! Every code of ZW01 to ZW04: the exact sentence and place.

use super::*;

/// A design without a mistake, for others to be added to.
pub(super) const BASE: &str = r#"zone "z" {
  domain   = "z.example"
  supernet = "10.0.0.0/16"
  capacity = { pods = 2, racks = 2, units = 4 }
}
model "sw" {
  kind       = "switch"
  ports      = "swp{1..8}"
  circuit_id = "{port}"
}
model "srv" {
  kind = "server"
  nics = "eno1"
}
controller "ctl1" {
  model = "srv"
}
"#;

/// Findings of one file alone.
fn alone(text: &str, expected: Expect) {
    let files = [file("a.hcl", text)];
    let (_, findings) = parse(&files);
    expected.assert_eq(&shown(&files, &findings));
}

/// Findings of a file beside the base design.
pub(super) fn added(text: &str, expected: Expect) {
    with(&[], text, expected);
}

/// Findings of a file beside the base design and other files.
pub(super) fn with(others: &[File], text: &str, expected: Expect) {
    let mut files = vec![file("base.hcl", BASE), file("a.hcl", text)];
    files.extend_from_slice(others);
    let (_, findings) = parse(&files);
    expected.assert_eq(&shown(&files, &findings));
}

#[test]
fn the_base_is_clean() {
    added("", expect![[""]]);
}

#[test]
fn syntax() {
    // HCL forbids a newline in quotes; the parser we use does not, and would report this three lines further down.
    alone(
        "zone \"z\" {\n  domain = \"z.example\n  supernet = \"10.0.0.0/8\"\n}\n",
        expect![[r#"
        a.hcl:2:12 "\"z.example" error[ZW0101] this quote is not closed on its line
          help: end the text with `"`; text of several lines is written `<<END` … `END`
    "#]],
    );
    // Several at once, each confined to its block; the misspelt key beside them is told too.
    alone(
        "zone \"z\" {\n  domain = \n}\nmodel \"m\" {\n  kind = \"x\" \"y\"\n}\nimage \"i\" {\n  kernal = \"k\"\n}\n",
        expect![[r#"
            a.hcl:2:11 " " error[ZW0101] the line ends here, but a value should follow
            a.hcl:5:14 "\"" error[ZW0101] `"` cannot stand here; the end of the line should
            a.hcl:7:1 "image \"i\"" error[ZW0203] `image` needs `kernel`
            a.hcl:8:3 "kernal" error[ZW0202] `image` has no attribute `kernal`
              help: did you mean `kernel`?
        "#]],
    );
    alone(
        "zone \"z\" {\n  capacity = {\n    pods = 1\n}\n\nmodel \"m\" {\n  kind = \"other\"\n}\n",
        expect![[r#"
            a.hcl:2:14 "{" error[ZW0101] this `{` is never closed
              help: add the `}` that ends it
        "#]],
    );
    alone(
        "pod \"p\" {\n  rack \"r\" {\n    lom {\n  }\n}\nimage \"i\" {\n",
        expect![[r#"
        a.hcl:3:9 "{" error[ZW0101] this `{` is never closed
          help: add the `}` that ends it
        a.hcl:6:11 "{" error[ZW0101] this `{` is never closed
          help: add the `}` that ends it
    "#]],
    );
    alone(
        "a = [1, 2)\n",
        expect![[r#"
        a.hcl:1:10 ")" error[ZW0101] this `)` does not close the `[` before it
          a.hcl:1:5 "[": opened here
    "#]],
    );
    alone(
        "}\nrole \"r\" {}\n",
        expect![[r#"
        a.hcl:1:1 "}" error[ZW0101] this `}` closes nothing
          help: remove it, or look for the bracket that is missing above
    "#]],
    );
    alone(
        "/* never\nrole \"r\" {}\n",
        expect![[r#"
        a.hcl:1:1 "/*" error[ZW0101] this comment is never closed
          help: end it with `*/`
    "#]],
    );
    alone(
        "role \"r\" {\n  disks = <<END\n}\n",
        expect![[r#"
        a.hcl:2:11 "<<" error[ZW0101] this text is never closed
          help: end it with its mark alone on a line
    "#]],
    );
    alone(
        "role \"r\" {\n  disks = <<END\n  END\n  boot = image.a\n}\n",
        expect![[r#"
            a.hcl:2:11 "<<" error[ZW0101] this text ends where it begins
              help: an empty text is written `""`
        "#]],
    );
    alone(
        "network \"n\" { per = \"rack\",  for = [\"machine\"] }\n",
        expect![[r#"
        a.hcl:1:27 "," error[ZW0101] `,` cannot stand here; `}`, newline or identifier should
          help: attributes of a block are not separated by commas: write each on its own line
    "#]],
    );
    alone(
        "network \"n\" { per = \"rack\" for = [\"machine\"] }\n",
        expect![[r#"
            a.hcl:1:28 "for" error[ZW0101] `for` cannot stand here; `}`, newline or identifier should
              help: a block on one line holds at most one attribute: write each on its own line
        "#]],
    );
    alone(
        "role \"r\" {\n  disks = 'x'\n}\n",
        expect![[r#"
            a.hcl:2:11 "'" error[ZW0101] `'` cannot stand here; a value should
              help: text stands in double quotes
        "#]],
    );
    alone(
        "role \"r\" {\n  disks = \"\\q\"\n}\n",
        expect![[r#"
        a.hcl:2:14 "\"" error[ZW0101] `"` cannot stand here; `n`, `r`, `t`, `u`, `U`, `\` or `"` should
    "#]],
    );
    // The parser points into the middle of the last character here.
    alone(
        "device \"d\"ü\n",
        expect![[r#"
        a.hcl:1:11 "ü" error[ZW0101] `ü` cannot stand here; `{` should
    "#]],
    );
    alone(
        &format!("a = {}1{}\n", "(".repeat(100), ")".repeat(100)),
        expect![[r#"
        a.hcl:1:70 "(" error[ZW0101] this is nested deeper than 64 levels
    "#]],
    );
    alone(
        &format!("a = 1{}\n", " + 1".repeat(200)),
        expect![[r#"
        a.hcl:1:519 "+" error[ZW0101] this expression has more than 128 operators
    "#]],
    );
}

#[test]
fn nothing_here() {
    let (design, findings) = parse(&[file("notes.yaml", "")]);
    assert!(design.is_none());
    let [finding] = &findings[..] else { panic!("one finding: {findings:?}") };
    expect!["ZW0102: no file here ends in `.hcl`"].assert_eq(&finding.to_string());
    assert_eq!(format!("[{}]", finding.code), "[ZW0102]");
}

#[test]
fn machines_that_reach_into_each_other_are_named() {
    let rack = "model \"high\" {\n  kind   = \"server\"\n  nics   = \"eno1\"\n  height = 2\n}\npod \"p1\" {\n  rack \"r1\" {\n    \
                leaf \"a\" { model = \"sw\" }\n    machine \"u1\" { model = \"high\" }\n    machine \"u2\" { model = \"high\" }\n    \
                machine \"u4\" { model = \"high\" }\n  }\n}\n";
    added(
        rack,
        expect![[r#"
        a.hcl:9:5 "machine \"u1\"" warning[ZW0316] `z/p1/r1/u1` is 2 units high, and reaches into `z/p1/r1/u2`
          a.hcl:10:5 "machine \"u2\"": this one
        a.hcl:11:5 "machine \"u4\"" warning[ZW0316] `z/p1/r1/u4` is 2 units high, and reaches above the 4 units of its rack
    "#]],
    );
}

#[test]
fn words() {
    added(
        "modle \"x\" {}\nrack \"r1\" {}\npod \"p1\" {\n  core \"c\" {}\n}\n",
        expect![[r#"
        a.hcl:1:1 "modle" error[ZW0201] there is no block `modle`
          help: did you mean `model`?
        a.hcl:2:1 "rack" error[ZW0201] `rack` cannot stand at the top of a file
          help: it stands in `pod`
        a.hcl:4:3 "core" error[ZW0201] `core` cannot stand in `pod`
          help: it stands at the top
    "#]],
    );
    added(
        "image \"i\" {\n  kernel = \"k\"\n  colour = 1\n  arg = \"\"\n}\nstray = 1\n",
        expect![[r#"
            a.hcl:3:3 "colour" error[ZW0202] `image` has no attribute `colour`
              help: its attributes are kernel, initrd, args, installs
            a.hcl:4:3 "arg" error[ZW0202] `image` has no attribute `arg`
              help: did you mean `args`?
            a.hcl:6:1 "stray" error[ZW0202] `stray` stands outside of every block
        "#]],
    );
    // Lines of another system end as these do; after a text of several lines, too.
    added(
        "stray = 1\r\nlong = <<END\r\nx\r\nEND \r\nrole \"r\" {}\r\n",
        expect![[r#"
            a.hcl:1:1 "stray" error[ZW0202] `stray` stands outside of every block
            a.hcl:2:1 "long" error[ZW0202] `long` stands outside of every block
        "#]],
    );
    added(
        "model \"m\" {\n  kind = \"switch\"\n  ports = \"p1\"\n  nics = \"e1\"\n}\n",
        expect![[r#"
        a.hcl:4:3 "nics" error[ZW0202] `nics` is for a server
    "#]],
    );
    added(
        "network {\n  per = \"rack\"\n}\nmodel \"m\" {\n  kind = \"switch\"\n}\nimage \"a\" \"b\" { kernel = \"k\" }\n",
        expect![[r#"
            a.hcl:1:1 "network" error[ZW0203] `network` takes one label
              help: write `network "name" {`
            a.hcl:1:1 "network" error[ZW0203] `network` needs `for`
            a.hcl:4:1 "model \"m\"" error[ZW0203] a switch model needs `ports`
            a.hcl:7:1 "image \"a\" \"b\"" error[ZW0205] `image` takes one label
        "#]],
    );
    alone(
        "image \"i\" { kernel = \"k\" }\n",
        expect![[r#"
            a.hcl:1:1 "image \"i\"" error[ZW0203] the design has no `zone` block
              help: write `zone "name" {` with `domain`, `supernet` and `capacity`
        "#]],
    );
    added(
        "zone \"y\" {\n  domain = \"y\"\n  supernet = \"10.0.0.0/8\"\n  capacity = { pods = 1 }\n}\n",
        expect![[r#"
            a.hcl:1:1 "zone \"y\"" error[ZW0207] a design is of one zone
              base.hcl:1:1 "zone \"z\"": the zone is written here
              help: give each zone its own directory
        "#]],
    );
    added(
        "role \"r\" {}\nrole \"r\" {}\nmodel \"m\" {\n  kind = \"other\"\n  kind = \"other\"\n}\n",
        expect![[r#"
            a.hcl:5:3 "kind" error[ZW0207] this name is given a value twice in one block
              help: keep one of the two
        "#]],
    );
    added(
        "role \"r\" {}\nrole \"r\" {}\n",
        expect![[r#"
        a.hcl:2:6 "\"r\"" error[ZW0207] role `r` is written twice
          a.hcl:1:6 "\"r\"": first here
    "#]],
    );
    added(
        "role \"r\" {\n  boot = image.kvm\n}\nimage \"kvn\" { kernel = \"k\" }\n",
        expect![[r#"
        a.hcl:2:10 "image.kvm" error[ZW0206] there is no image `kvm`
          help: did you mean `kvn`?
    "#]],
    );
    added(
        "view \"v\" {\n  clients = \"10.0.0.1/8\"\n  networks = [\"boot\"]\n}\n",
        expect![[r#"
        a.hcl:2:13 "\"10.0.0.1/8\"" error[ZW0205] `10.0.0.1/8` has bits beyond its prefix
          help: did you mean `10.0.0.0/8`?
        a.hcl:3:15 "\"boot\"" error[ZW0206] there is no network `boot`
    "#]],
    );
    added(
        "pod \"p1\" {\n  rack \"r1\" {\n    machine \"u1\" {\n      model = \"srw\"\n      role = \"r\"\n    }\n  }\n}\n",
        expect![[r#"
            a.hcl:4:15 "\"srw\"" error[ZW0206] there is no model `srw`
              help: did you mean `sw`?
            a.hcl:5:14 "\"r\"" error[ZW0206] there is no role `r`
        "#]],
    );
}

#[test]
fn values() {
    added(
        "network \"n\" {\n  per = rack\n  for = 7\n  vlan = \"300\"\n  mtu = [1]\n  native = null\n  interfaces = { a = 1 }\n  spare = 1.5\n}\n",
        expect![[r#"
            a.hcl:2:9 "rack" error[ZW0204] `per` takes text, not a bare word
              help: write `"rack"`
            a.hcl:3:9 "7" error[ZW0204] `for` takes text or a list of texts, not a number
            a.hcl:4:10 "\"300\"" error[ZW0204] `vlan` takes a whole number, not text
            a.hcl:5:9 "[1]" error[ZW0204] `mtu` takes a whole number, not a list
            a.hcl:6:12 "null" error[ZW0204] `native` takes true or false, not null
            a.hcl:7:16 "{ a = 1 }" error[ZW0204] `interfaces` takes text or a list of texts, not an object
            a.hcl:8:11 "1.5" error[ZW0204] `spare` takes a whole number, not a fraction
        "#]],
    );
    added(
        "network \"n\" {\n  per = \"racks\"\n  for = [\"machine\", \"bcm\", \"x\"]\n  vlan = 4095\n  mtu = 1\n  ipv6 = true\n}\n",
        expect![[r#"
            a.hcl:2:9 "\"racks\"" error[ZW0205] `per` cannot be `racks`
              help: did you mean `rack`?
            a.hcl:3:21 "\"bcm\"" error[ZW0205] `for` cannot be `bcm`
              help: did you mean `bmc`?
            a.hcl:3:28 "\"x\"" error[ZW0205] `for` cannot be `x`
              help: it is one of `machine`, `bmc`, `switch`, `controller`
            a.hcl:4:10 "4095" error[ZW0205] `vlan` is 4095, outside 1 to 4094
            a.hcl:5:9 "1" error[ZW0205] `mtu` is 1, outside 576 to 9216
            a.hcl:6:10 "true" error[ZW0205] the zone has no IPv6 supernet
        "#]],
    );
    added(
        "image \"i\" {\n  kernel = \"../k\"\n  initrd = [\"/i\", \"a//b\"]\n  args = \"a\\nb\"\n}\n",
        expect![[r#"
            a.hcl:2:12 "\"../k\"" error[ZW0205] `../k` is not a plain path inside the design's directory
              help: write it without `..` and without a leading `/`
            a.hcl:3:13 "\"/i\"" error[ZW0205] `/i` is not a plain path inside the design's directory
              help: write it without `..` and without a leading `/`
            a.hcl:3:19 "\"a//b\"" error[ZW0205] `a//b` is not a plain path inside the design's directory
              help: write it without `..` and without a leading `/`
            a.hcl:4:10 "\"a\\nb\"" error[ZW0205] a kernel command line is one line of printable text
        "#]],
    );
    added(
        "role \"r\" {\n  guest_ouis = [\"52:54\", \"525400\", \"52-54-00\"]\n  service \"a b\" {\n    port = 70000\n  }\n}\n",
        expect![[r#"
            a.hcl:2:17 "\"52:54\"" error[ZW0205] `52:54` is not the first three octets of a MAC address
              help: write it as `52:54:00`
            a.hcl:2:26 "\"525400\"" error[ZW0205] `525400` is not the first three octets of a MAC address
              help: write it as `52:54:00`
            a.hcl:3:11 "\"a b\"" error[ZW0302] `a b` is not a service name: at most 15 letters, digits and `-`
            a.hcl:4:12 "70000" error[ZW0205] `port` is 70000, outside 1 to 65535
        "#]],
    );
    alone(
        "zone \"z\" {\n  domain = \"-z\"\n  supernet = [\"10.0.0.1/8\", \"10.0.0.0\", \"10.0.0.0/8\", \"11.0.0.0/8\"]\n  capacity = { pods = 0, rack = 1 }\n  lease = \"1 year\"\n  dhcp_probe = \"5s\"\n  resolvers = \"here\"\n  count_from = 2\n}\n",
        expect![[r#"
            a.hcl:1:1 "zone \"z\"" warning[ZW0312] zone `z` has no controller, so nobody would answer
              help: add `controller "ctl1" {` with its `model` and `cable`
            a.hcl:2:12 "\"-z\"" error[ZW0302] `-z` is not a DNS domain
            a.hcl:3:15 "\"10.0.0.1/8\"" error[ZW0205] `10.0.0.1/8` has bits beyond its prefix
              help: did you mean `10.0.0.0/8`?
            a.hcl:3:29 "\"10.0.0.0\"" error[ZW0205] `10.0.0.0` is not a prefix
              help: write an address and a length, as in `10.32.0.0/14` or `2001:db8::/44`
            a.hcl:3:55 "\"11.0.0.0/8\"" error[ZW0207] a zone has one IPv4 supernet
            a.hcl:4:14 "{ pods = 0, rack = 1 }" error[ZW0203] `capacity` needs `racks` and `units`
            a.hcl:4:23 "0" error[ZW0205] `pods` is 0, outside 1 to 16384
            a.hcl:4:26 "rack" error[ZW0202] `capacity` has no attribute `rack`
              help: did you mean `racks`?
            a.hcl:5:11 "\"1 year\"" error[ZW0205] `lease` is a time from `60s` to `365d`, such as `12h`
            a.hcl:6:16 "\"5s\"" error[ZW0205] `dhcp_probe` is a time from `10s` to `1d`, such as `30s`, or `never`
            a.hcl:7:15 "\"here\"" error[ZW0205] `here` is not an IP address
            a.hcl:8:16 "2" error[ZW0205] `count_from` is 2, outside 0 to 1
        "#]],
    );
    added(
        "model \"m\" {\n  kind = \"server\"\n  nics = [\"e1\", \"e1\"]\n}\nmodel \"n\" {\n  kind = \"server\"\n  nics = \"e{1..2}\"\n  bonds = { b = [\"e1\", \"e3\"] }\n}\nmodel \"o\" {\n  kind = \"server\"\n  nics = \"e1\"\n  bmc = { shares = \"e1\" }\n}\n",
        expect![[r#"
            a.hcl:3:17 "\"e1\"" error[ZW0207] port `e1` is listed twice
            a.hcl:8:24 "\"e3\"" error[ZW0304] this model has no port `e3`
              help: did you mean `e1`?
            a.hcl:13:9 "{ shares = \"e1\" }" error[ZW0203] a BMC that shares a port is told apart by `vendor_class`, which is missing or empty
              help: list the prefixes of DHCP option 60 that this BMC sends
        "#]],
    );
    added(
        "model \"m\" {\n  kind = \"server\"\n  nics = \"e1\"\n  expect = { cpus = 0, memory = \"12\", disks = [{ count = 1 }, { size = \"1TB\", kind = \"tape\" }], nic_speed = \"fast\" }\n}\n",
        expect![[r#"
            a.hcl:4:21 "0" error[ZW0205] `cpus` is 0, outside 1 to 65536
            a.hcl:4:33 "\"12\"" error[ZW0205] `12` is not a size such as `512GiB` or `1.9TB`
            a.hcl:4:48 "{ count = 1 }" error[ZW0203] a disk needs `size`
            a.hcl:4:86 "\"tape\"" error[ZW0205] `kind` cannot be `tape`
              help: it is one of `nvme`, `ssd`, `hdd`
            a.hcl:4:109 "\"fast\"" error[ZW0205] `fast` is not a speed such as `25G`
        "#]],
    );
}

#[test]
fn patterns_templates_and_expressions() {
    added(
        "model \"m\" {\n  kind = \"other\"\n  ports = \"p{1-4}\"\n}\npod \"p{2..1}\" {}\n",
        expect![[r#"
        a.hcl:3:11 "\"p{1-4}\"" error[ZW0208] `{1-4}` is not a range
          help: a pattern is `{first..last}` or `{first..last..step}`, as in `u{01..36}`
        a.hcl:5:5 "\"p{2..1}\"" error[ZW0208] `{2..1}` counts down
          help: a pattern is `{first..last}` or `{first..last..step}`, as in `u{01..36}`
    "#]],
    );
    added(
        "core \"1\" {\n  model = \"sw\"\n  name = \"{pod}-x\"\n}\ncore \"2\" {\n  model = \"sw\"\n  name = \"x}\"\n}\n",
        expect![[r#"
            a.hcl:3:10 "\"{pod}-x\"" error[ZW0209] there is no field `{pod}` here
              help: fields here are `{zone}`, `{label}`, `{number}`
            a.hcl:7:10 "\"x}\"" error[ZW0209] a brace in this template has no other half
              help: a field is a word in braces, as in `{pod}`
        "#]],
    );
    added(
        "model \"m\" {\n  kind = \"switch\"\n  ports = \"p1\"\n  circuit_id = \"{prot}\"\n  remote_id = \"{port:1}\"\n}\nmodel \"n\" {\n  kind = \"switch\"\n  ports = \"p1\"\n  circuit_id = \"hex:0g\"\n  remote_id = \"hex:{port:3}\"\n}\nmodel \"o\" {\n  kind = \"switch\"\n  ports = \"p1\"\n  circuit_id = \"hex:012\"\n  remote_id = \"\"\n}\n",
        expect![[r#"
            a.hcl:4:16 "\"{prot}\"" error[ZW0209] there is no field `{prot}` in an identity
              help: fields are `{port}`, `{port_number}`, `{name}`, `{location}`, `{vlan}`; after `hex:` also `{port:1}`, `{port+3:2}`, `{vlan:2}` with a width of 1, 2 or 4 octets
            a.hcl:10:16 "\"hex:0g\"" error[ZW0209] `g` is no hexadecimal digit
              help: fields are `{port}`, `{port_number}`, `{name}`, `{location}`, `{vlan}`; after `hex:` also `{port:1}`, `{port+3:2}`, `{vlan:2}` with a width of 1, 2 or 4 octets
            a.hcl:16:16 "\"hex:012\"" error[ZW0209] `012` has an odd number of hexadecimal digits
              help: fields are `{port}`, `{port_number}`, `{name}`, `{location}`, `{vlan}`; after `hex:` also `{port:1}`, `{port+3:2}`, `{vlan:2}` with a width of 1, 2 or 4 octets
        "#]],
    );
    added(
        "core \"1\" \"2\" {\n  model = \"sw\"\n}\ncontroller \"ctl2\" {\n  model = \"srv\"\n  cable = { eno1 = core.1.swp[unit] }\n}\ncontroller \"ctl3\" {\n  model = \"srv\"\n  cable = { eno1 = core.1.swp[number-1] }\n}\ncontroller \"ctl4\" {\n  model = \"srv\"\n  cable = { eno1 = core.1.swp[1 / 0] }\n}\n",
        expect![[r#"
            a.hcl:6:31 "unit" error[ZW0210] there is no number `unit` here
              help: numbers here are `number`
            a.hcl:10:31 "number-1" error[ZW0210] there is no number `number-1` here
              help: names may hold `-`: write `number - 1`
            a.hcl:14:20 "core.1.swp[1 / 0]" error[ZW0210] this cannot be computed for `z/ctl4`: it overflows or divides by nought
        "#]],
    );
    added(
        "core \"1\" {\n  model = \"sw\"\n  cable = { swp1 = 7, swp2 = cor.a.b, swp3 = core[1], swp4 = max(1), swp5 = \"x${1}\", swp6 = \"x\", swp7 = core.1.swp[1 == 1], swp8 = core.1.swp[*] }\n}\n",
        expect![[r#"
            a.hcl:3:20 "7" error[ZW0210] a cable leads to a port
              help: write `leaf.a.swp[unit]`, `leaf.a["swp14"]` or `"device:port"`
            a.hcl:3:30 "cor.a.b" error[ZW0210] `cor` is nothing that a cable leads to
              help: did you mean `core`?
            a.hcl:3:46 "core[1]" error[ZW0210] this path does not lead to a port
              help: write the kind, the label and the port: `leaf.a.swp[unit]`, or `leaf.a["swp14"]` for one port
            a.hcl:3:62 "max(1)" error[ZW0210] a function call is not part of the design language
              help: arithmetic and `a ? b : c` are what expressions have
            a.hcl:3:77 "\"x${1}\"" error[ZW0210] `${}` is not part of the design language
              help: fields of a naming template are written `{pod}`
            a.hcl:3:93 "\"x\"" error[ZW0210] `x` names no port
              help: write `"device:port"`, the device by its name or location
            a.hcl:3:116 "1 == 1" error[ZW0210] a number is needed here, not a comparison
            a.hcl:3:142 "[*]" error[ZW0210] `*` is not part of the design language
              help: name one port; the rule repeats by itself
        "#]],
    );
}

#[test]
fn files() {
    with(
        &[file("checks/kvm.yaml", "")],
        "role \"r\" {\n  check \"checks/kwm.yaml\" {}\n}\ncabling \"x.csv\" {}\n",
        expect![[r#"
            a.hcl:2:9 "\"checks/kwm.yaml\"" error[ZW0211] there is no file `checks/kwm.yaml` in the design
              help: did you mean `checks/kvm.yaml`?
            a.hcl:4:9 "\"x.csv\"" error[ZW0211] there is no file `x.csv` in the design
        "#]],
    );
}

#[test]
fn templates() {
    with(
        &[file("templates/a.j2", ""), file("notes.yaml", "")],
        "image \"i\" {\n  kernel = \"k\"\n  template \"a b\" {}\n  template \"x\" { file = \"templates/b.j2\" }\n  \
         template \"x\" { file = \"templates/a.j2\" }\n  template \"y\" { file = \"notes.yaml\" }\n  \
         template \"z\" { file = \"../a.j2\" }\n}\n",
        expect![[r#"
            a.hcl:3:12 "\"a b\"" error[ZW0302] `a b` cannot be fetched as a name
              help: use letters, digits, `-`, `_` and `.`, at most 64
            a.hcl:4:25 "\"templates/b.j2\"" error[ZW0211] there is no file `templates/b.j2` in the design
              help: did you mean `templates/a.j2`?
            a.hcl:5:12 "\"x\"" error[ZW0207] the image has a template `x` already
            a.hcl:6:25 "\"notes.yaml\"" error[ZW0205] the name of a template's file ends in `.j2`
            a.hcl:7:25 "\"../a.j2\"" error[ZW0205] `../a.j2` is not a plain path inside the design's directory
              help: write it without `..` and without a leading `/`
            a.hcl:7:25 "\"../a.j2\"" error[ZW0211] there is no file `../a.j2` in the design
        "#]],
    );
}

#[test]
fn names() {
    added(
        "core \"1\" \"2\" {\n  model = \"sw\"\n  name = \"core\"\n}\n",
        expect![[r#"
            a.hcl:1:1 "core \"1\" \"2\"" error[ZW0301] `z/core-1` and `z/core-2` have the same name `core`
              help: let `name` use `{pod}`, `{rack}` and `{unit}` or `{label}`
        "#]],
    );
    added(
        "core \"1\" {\n  model = \"sw\"\n  name = \"core_1\"\n}\n",
        expect![[r#"
        a.hcl:1:1 "core \"1\"" error[ZW0302] `core_1` cannot be the name of `z/core-1`
          help: a DNS label is letters, digits and hyphens, at most 63, no hyphen first or last
    "#]],
    );
    added(
        "device \"d\" {\n  model = \"sw\"\n  name = \"d1\"\n}\ndevice \"d\" {\n  model = \"sw\"\n  name = \"d2\"\n}\n",
        expect![[r#"
            a.hcl:5:1 "device \"d\"" error[ZW0207] `z/d` is written twice
              a.hcl:1:1 "device \"d\"": first here
        "#]],
    );
    added(
        "core \"a/b\" {\n  model = \"sw\"\n}\n",
        expect![[r#"
        a.hcl:1:6 "\"a/b\"" error[ZW0205] `a/b` cannot be part of a location
          help: use letters, digits, `-`, `_` and `.`, at most 63
    "#]],
    );
}

#[test]
fn ports() {
    let rack = |cable: &str| {
        format!(
            "pod \"p{{1..2}}\" {{\n  rack \"r1\" {{\n    leaf \"a\" {{\n      model = \"sw\"\n    }}\n    machines \"u{{1..4}}\" {{\n      model = \"srv\"\n      cable = {{ {cable} }}\n    }}\n  }}\n}}\n"
        )
    };
    added(&rack("eno1 = leaf.a.swp[unit]"), expect![[""]]);
    // One mistake in a rule is one finding, however many machines it is of.
    added(
        &rack("eno1 = leaf.a.swp[1]"),
        expect![[r#"
        a.hcl:8:24 "leaf.a.swp[1]" error[ZW0303] `swp1` of `p1/r1/leaf-a` is taken by the cable to `eno1` of `p1/r1/u1`, and cannot hold the one to `eno1` of `p1/r1/u2` too (and so in 5 more places)
    "#]],
    );
    added(
        &rack("eno1 = leaf.a.swp[unit + 6]"),
        expect![[r#"
        a.hcl:8:24 "leaf.a.swp[unit + 6]" error[ZW0304] `z/p1/r1/leaf-a` has no port `swp9`: its model `sw` does not list it (and so in 3 more places)
          base.hcl:6:1 "model \"sw\"": the model
          help: it has 8 ports, `swp1` to `swp8`
    "#]],
    );
    added(
        &rack("eno2 = leaf.a.swp[unit]"),
        expect![[r#"
        a.hcl:8:17 "eno2" error[ZW0304] `z/p1/r1/u1` has no port `eno2`: its model `srv` does not list it (and so in 7 more places)
          base.hcl:11:1 "model \"srv\"": the model
          help: it has 2 ports, `eno1` to `bmc`
    "#]],
    );
    added(
        &rack("eno1 = leaf.a[\"Ethernet{unit}\"]"),
        expect![[r#"
        a.hcl:8:24 "leaf.a[\"Ethernet{unit}\"]" error[ZW0304] `z/p1/r1/leaf-a` has no port `Ethernet1`: its model `sw` does not list it (and so in 7 more places)
          base.hcl:6:1 "model \"sw\"": the model
          help: it has 8 ports, `swp1` to `swp8`
    "#]],
    );
    added(
        &rack("eno1 = leaf.b.swp[unit]"),
        expect![[r#"
        a.hcl:8:24 "leaf.b.swp[unit]" error[ZW0305] there is no `leaf` labelled `b` in `z/p1/r1`, its pod or at the root (and so in 1 more place)
          help: did you mean `leaf.a`?
    "#]],
    );
    added(
        &rack("eno1 = spine.a.swp[unit]"),
        expect![[r#"
        a.hcl:8:24 "spine.a.swp[unit]" error[ZW0305] there is no `spine` labelled `a` in `z/p1/r1`, its pod or at the root (and so in 1 more place)
    "#]],
    );
    added(
        &rack("eno1 = \"p1/r1/leaf-b:swp1\""),
        expect![[r#"
        a.hcl:8:24 "\"p1/r1/leaf-b:swp1\"" error[ZW0305] there is no device `p1/r1/leaf-b` (and so in 7 more places)
          help: did you mean `p1-r1-leaf-a`?
    "#]],
    );
    added(
        "core \"1\" {\n  model = \"sw\"\n  cable = { swp1 = core.1.swp[1], swp2 = core.1.swp[3], swp3 = core.1.swp[2] }\n}\n",
        expect![[r#"
            a.hcl:3:20 "core.1.swp[1]" error[ZW0311] a cable joins `swp1` of `core-1` to itself
            a.hcl:3:42 "core.1.swp[3]" warning[ZW0311] a cable joins `swp2` of `core-1` and `swp3` of `core-1`, of one device
              help: right for a loopback test; otherwise mend one end
            a.hcl:3:64 "core.1.swp[2]" warning[ZW0403] the cable between `swp3` of `core-1` and `swp2` of `core-1` is written twice
              a.hcl:3:42 "core.1.swp[3]": first here
        "#]],
    );
    added(
        "core \"1\" \"2\" {\n  model = \"sw\"\n  cable = { swp2 = core.swp[3] }\n}\n",
        expect![[r#"
        a.hcl:3:20 "core.swp[3]" error[ZW0305] `core` could be any of `1`, `2`
          help: name one, as in `core.1`
    "#]],
    );
    added(
        "model \"j\" {\n  kind = \"server\"\n  nics = \"eno1\"\n  bmc = { shares = \"eno1\", vendor_class = \"x\" }\n}\ncore \"1\" {\n  model = \"sw\"\n}\ncontroller \"ctl2\" {\n  model = \"j\"\n  cable = { bmc = core.swp1 }\n}\n",
        expect![[r#"
            a.hcl:11:13 "bmc" error[ZW0304] the BMC of model `j` has no jack: it shares `eno1`
              a.hcl:1:1 "model \"j\"": the model
        "#]],
    );
}

#[test]
fn places() {
    added(
        "pod \"p0\" {}\npod \"px\" {}\npod \"p3\" {}\npod \"p01\" {}\npod \"p1\" {}\npod \"p1\" {}\n",
        expect![[r#"
            a.hcl:1:5 "\"p0\"" error[ZW0306] pod `p0` has the number 0, but the zone counts from 1
              help: write `count_from = 0` in the zone block, or count from 1
            a.hcl:2:5 "\"px\"" error[ZW0306] pod `px` has no number to take its place from
              help: end the label in a number, or give the block `slot = N`
            a.hcl:3:5 "\"p3\"" error[ZW0308] pod `p3` is number 3, but the zone has room for 2 pods
              base.hcl:1:1 "zone \"z\"": capacity is stated in this block
              help: raise `capacity.pods`: `zw plan --against` shows what that renumbers
            a.hcl:5:5 "\"p1\"" error[ZW0307] `z/p01` and `z/p1` have the same number, and so the same place
              a.hcl:4:5 "\"p01\"": first here
            a.hcl:6:5 "\"p1\"" error[ZW0307] `z/p01` and `z/p1` have the same number, and so the same place
              a.hcl:4:5 "\"p01\"": first here
        "#]],
    );
    added(
        "core \"main\" {\n  model = \"sw\"\n}\ncore \"a\" \"1\" {\n  model = \"sw\"\n}\ncore \"9\" {\n  model = \"sw\"\n}\n",
        expect![[r#"
            a.hcl:1:6 "\"main\"" error[ZW0306] switch `main` has no number to take its place from
              help: end the label in a number, or give the block `slot = N`
            a.hcl:4:10 "\"1\"" error[ZW0307] `z/core-a` and `z/core-1` have the same number, and so the same place
              a.hcl:4:6 "\"a\"": first here
            a.hcl:7:6 "\"9\"" error[ZW0308] switch `9` is number 9, but the zone has room for 4 switches
              base.hcl:1:1 "zone \"z\"": capacity is stated in this block
              help: raise `capacity.switches`: `zw plan --against` shows what that renumbers
        "#]],
    );
    added(
        "core \"x\" \"y\" {\n  model = \"sw\"\n  slot = 1\n}\n",
        expect![[r#"
        a.hcl:1:6 "\"x\"" error[ZW0308] switch `x` is number 24, but the zone has room for 4 switches
          base.hcl:1:1 "zone \"z\"": capacity is stated in this block
          help: raise `capacity.switches`: `zw plan --against` shows what that renumbers
        a.hcl:1:10 "\"y\"" error[ZW0308] switch `y` is number 25, but the zone has room for 4 switches
          base.hcl:1:1 "zone \"z\"": capacity is stated in this block
          help: raise `capacity.switches`: `zw plan --against` shows what that renumbers
        a.hcl:3:3 "slot" error[ZW0205] `slot` is for a block with one label
    "#]],
    );
    added(
        "pod \"p1\" {\n  rack \"r1\" {\n    machines \"u{4..5}\" {\n      model = \"srv\"\n    }\n    machine \"x4\" {\n      model = \"srv\"\n    }\n  }\n  rack \"r1\" {}\n}\n",
        expect![[r#"
            a.hcl:3:14 "\"u{4..5}\"" error[ZW0308] machine `u5` is number 5, but the zone has room for 4 units
              base.hcl:1:1 "zone \"z\"": capacity is stated in this block
              help: raise `capacity.units`: `zw plan --against` shows what that renumbers
            a.hcl:6:13 "\"x4\"" error[ZW0307] `z/p1/r1/u4` and `z/p1/r1/x4` have the same number, and so the same place
              a.hcl:3:14 "\"u{4..5}\"": first here
            a.hcl:10:8 "\"r1\"" error[ZW0207] rack `r1` is written twice
              a.hcl:2:8 "\"r1\"": first here
        "#]],
    );
    alone(
        &BASE[..BASE.find("controller").unwrap_or(0)],
        expect![[r#"
        a.hcl:1:1 "zone \"z\"" warning[ZW0312] zone `z` has no controller, so nobody would answer
          help: add `controller "ctl1" {` with its `model` and `cable`
    "#]],
    );
    added(
        "pod \"p1\" {\n  rack \"r1\" {}\n}\nat \"p2/r1/u1\" {}\nat \"p1/r2/u1\" {}\nat \"p1/r1/u1\" {}\nat \"z/p1/r1/u1\" {}\n",
        expect![[r#"
            a.hcl:4:4 "\"p2/r1/u1\"" error[ZW0313] nothing stands at `p2/r1/u1`
              help: there is no pod `p2`
            a.hcl:5:4 "\"p1/r2/u1\"" error[ZW0313] nothing stands at `p1/r2/u1`
              help: pod `p1` has no rack `r2`
            a.hcl:7:4 "\"z/p1/r1/u1\"" error[ZW0207] two `at` blocks change `p1/r1/u1`
              a.hcl:6:4 "\"p1/r1/u1\"": first here
              help: write all changes of one place in one block
            a.hcl:7:4 "\"z/p1/r1/u1\"" error[ZW0313] nothing stands at `p1/r1/u1`
              help: the path is pod, rack and label, as in `p01/r1/u14` or `p01/r1/leaf-a`
        "#]],
    );
}

#[test]
fn wiring() {
    let csv = |text: &str, block: &str, expected: Expect| {
        with(
            &[file("w.csv", text)],
            &format!("core \"{{1..2}}\" {{\n  model = \"sw\"\n}}\n{block}\n"),
            expected,
        );
    };
    let block = "cabling \"w.csv\" {}";
    csv(
        "# ours\nstart device,Start_Port,END-DEVICE,endport,note,BandWidth\ncore-1,swp1,core-2,swp1,\"a, b\",1000\nctl1,eno1,z/core-2,swp2\n",
        block,
        expect![[""]],
    );
    csv(
        "StartDevice,StartPort,EndDevice,Console_type\n",
        block,
        expect![[r#"
        w.csv:1:1 "StartDevice,StartPort,EndDevice,Console_type" error[ZW0401] the first line has no column EndPort
    "#]],
    );
    csv(
        "StartDevice,StartPort,EndDevice,EndProt\n",
        block,
        expect![[r#"
        w.csv:1:1 "StartDevice,StartPort,EndDevice,EndProt" error[ZW0401] the first line has no column EndPort
          help: did you mean `EndPort` by `endprot`?
    "#]],
    );
    csv(
        "StartDevice,StartPort,EndDevice,EndPort,EndPort\n",
        block,
        expect![[r#"
        w.csv:1:1 "StartDevice,StartPort,EndDevice,EndPort,EndPort" error[ZW0401] the first line has column EndPort twice
    "#]],
    );
    csv(
        "",
        block,
        expect![[r#"
        a.hcl:4:9 "\"w.csv\"" error[ZW0401] `w.csv` is empty
          help: its first line names the columns: StartDevice,StartPort,EndDevice,EndPort
    "#]],
    );
    csv(
        "StartDevice,StartPort,EndDevice,EndPort,BandWidth\ncore-1,swp1,core-2\n\ncore-1,swp9,core-3,swp1\ncore-1,swp1,core-2,swp1,fast\ncore-1,swp1,core-2,swp1\ncore-2,swp1,core-1,swp1\ncore-2,swp1,core-1,swp2\n",
        block,
        expect![[r#"
            w.csv:2:1 "core-1,swp1,core-2" error[ZW0402] this line has no EndPort
            w.csv:4:8 "swp9" error[ZW0304] `z/core-1` has no port `swp9`: its model `sw` does not list it
              base.hcl:6:1 "model \"sw\"": the model
              help: it has 8 ports, `swp1` to `swp8`
            w.csv:4:13 "core-3" error[ZW0305] there is no device `core-3`
              help: did you mean `core-1`?
            w.csv:5:25 "fast" error[ZW0402] `fast` is not a bandwidth in Mbit/s
            w.csv:7:1 "core-2,swp1,core-1,swp1" warning[ZW0403] the cable between `swp1` of `core-2` and `swp1` of `core-1` is written twice
              w.csv:6:1 "core-1,swp1,core-2,swp1": first here
            w.csv:8:1 "core-2,swp1,core-1,swp2" error[ZW0303] `swp1` of `core-2` is taken by the cable to `swp1` of `core-1`, and cannot hold the one to `swp2` of `core-1` too
              w.csv:6:1 "core-1,swp1,core-2,swp1": taken here
        "#]],
    );
    csv(
        "StartDevice,StartPort,EndDevice,EndPort\ncore-1,swp1,core-1,swp2\ncore-1,,core-1,swp2\ncore-1,swp2,core-2,swp2\n",
        "cabling \"w.csv\" {\n  wrong_rows = \"skip\"\n}",
        expect![[r#"
            w.csv:2:1 "core-1,swp1,core-1,swp2" warning[ZW0311] a cable joins `swp1` of `core-1` and `swp2` of `core-1`, of one device
              help: right for a loopback test; otherwise mend one end
            w.csv:3:1 "core-1,,core-1,swp2" warning[ZW0402] this line has no StartPort
            w.csv:4:1 "core-1,swp2,core-2,swp2" warning[ZW0303] `swp2` of `core-1` is taken by the cable to `swp1` of `core-1`, and cannot hold the one to `swp2` of `core-2` too
              w.csv:2:1 "core-1,swp1,core-1,swp2": taken here
        "#]],
    );
}

/// A code that no test here shows is a code whose sentence nobody has read.
#[test]
fn every_code_is_shown() {
    // Of the plan: whether a machine can be known by its port, or handed a key. Of the agent: what is in a file of checks. Of `render`: templates.
    let elsewhere = ["ZW0212", "ZW0213", "ZW0309", "ZW0310", "ZW0314"];
    let this = include_str!("findings.rs");
    for code in model::Code::ALL {
        let code = code.as_str();
        if code < "ZW05" && !elsewhere.contains(&code) {
            assert!(this.contains(&format!("[{code}]")), "{code} is not shown in a test");
        }
    }
}

#[test]
fn roles_in_a_circle() {
    added(
        "role \"a\" {\n  after = [\"b\", \"d\"]\n}\nrole \"b\" {\n  after = \"c\"\n}\nrole \"c\" {\n  after = [\"a\", \"a\"]\n}\nrole \"d\" {\n  after = [\"d\", \"e\"]\n}\n",
        expect![[r#"
            a.hcl:8:12 "\"a\"" error[ZW0315] roles would start after each other in a circle: `a` after `b` after `c` after `a`
            a.hcl:8:17 "\"a\"" error[ZW0207] role `a` is named twice
            a.hcl:11:12 "\"d\"" error[ZW0315] roles would start after each other in a circle: `d` after `d`
            a.hcl:11:17 "\"e\"" error[ZW0206] there is no role `e`
              help: did you mean `a`?
        "#]],
    );
    // Two ways to the same role are none.
    added(
        "role \"a\" {\n  after = [\"b\", \"c\"]\n}\nrole \"b\" {\n  after = [\"c\"]\n}\nrole \"c\" {}\n",
        expect![[""]],
    );
}
