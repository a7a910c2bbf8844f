//! `zw export`: the plan in the forms that other people's tools read, and on paper.

mod output;
mod pictures;
mod storm;

use super::check::{compiled, failed};
use crate::findings;
use clap::{Args as ClapArgs, Subcommand};
use model::Plan;
use render::export;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write the plan in a form that another tool reads, or as drawings and lists for paper.
///
/// Computed from the design alone but for `svg boot`: no controller is asked, and what was written stays true until the design
/// changes. Texts go to standard output.
#[derive(ClapArgs)]
#[command(
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  zw export ansible my-zone > inventory.yaml && ansible-inventory -i inventory.yaml --graph\n  \
                        zw export prometheus my-zone > targets/my-zone.json\n  zw export dot my-zone | sfdp -Tsvg > my-zone.svg\n  \
                        zw export svg elevations my-zone p01 -o racks.html"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    form: Form,
}

/// A form.
#[derive(Subcommand)]
enum Form {
    /// An Ansible inventory (YAML): groups by role, pod and rack.
    Ansible(Design),
    /// Prometheus targets (JSON), for `file_sd_configs`.
    Prometheus(Prometheus),
    /// A hosts file.
    Hosts(Design),
    /// A wiring file (CSV), as designs can name one.
    Cables(Design),
    /// A graph for Graphviz.
    Dot(Design),
    Svg(pictures::SvgArgs),
    Labels(pictures::LabelsArgs),
    Pulls(pictures::PullsArgs),
}

#[derive(ClapArgs)]
struct Design {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    directory: PathBuf,
}

#[derive(ClapArgs)]
struct Prometheus {
    #[command(flatten)]
    design: Design,
    /// The port to scrape; 9100 is the node exporter's.
    #[arg(long, default_value_t = 9100)]
    port: u16,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.form {
        Form::Ansible(design) => told(design, export::ansible),
        Form::Prometheus(args) => told(&args.design, |plan| export::prometheus(plan, args.port)),
        Form::Hosts(design) => told(design, export::hosts),
        Form::Cables(design) => told(design, export::cables),
        Form::Dot(design) => told(design, export::dot),
        Form::Svg(args) => pictures::svg(args),
        Form::Labels(args) => pictures::labels(args),
        Form::Pulls(args) => pictures::pulls(args),
    }
}

/// A text of the plan, to standard output.
fn told(design: &Design, text: impl Fn(&Plan) -> String) -> ExitCode {
    match plan(&design.directory) {
        Ok(plan) => output::print(&text(&plan)),
        Err(status) => status,
    }
}

/// The plan of a design; what is wrong with it is told on standard error.
fn plan(directory: &Path) -> Result<Plan, ExitCode> {
    let files = server::files::read_design(directory).map_err(|error| failed(&error))?;
    let (plan, found) = compiled(directory, &files);
    if !found.is_empty() {
        let text = findings::rendered(directory, &files, &found);
        anstream::stderr().write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    }
    plan.filter(|_| !findings::has_errors(&found)).ok_or(ExitCode::from(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::finding::File;

    /// The pocket zone, with a machine in each rack.
    fn plan() -> Plan {
        let text = include_str!("../../../../examples/pocket/zone.hcl").replace("u{01..04}", "u{01..01}");
        let checks = include_str!("../../../../examples/pocket/checks/kvm.yaml");
        let files = [
            File { path: "checks/kvm.yaml".into(), text: checks.into() },
            File { path: "zone.hcl".into(), text: text.into() },
        ];
        let (design, found) = design::parse(&files);
        let (plan, more) = plan::compile(design.unwrap_or_else(|| panic!("{found:#?}")), None);
        plan.unwrap_or_else(|| panic!("{more:#?}"))
    }

    fn check(form: impl Fn(&Plan) -> String, expect: Expect) {
        expect.assert_eq(&form(&plan()));
    }

    #[test]
    fn ansible() {
        check(
            export::ansible,
            expect![[r#"
            all:
              hosts:
                "ctl1":
                  ansible_host: "10.64.255.182"
                  zonewright_location: "lab1/ctl1"
                  zonewright_model: "seed"
                "hv-p01-r1-u01":
                  ansible_host: "10.64.0.6"
                  zonewright_location: "lab1/p01/r1/u01"
                  zonewright_pod: "p01"
                  zonewright_rack: "r1"
                  zonewright_role: "hypervisor"
                  zonewright_model: "node"
                  zonewright_bmc: "10.64.0.38"
                "hv-p02-r1-u01":
                  ansible_host: "10.64.32.6"
                  zonewright_location: "lab1/p02/r1/u01"
                  zonewright_pod: "p02"
                  zonewright_rack: "r1"
                  zonewright_role: "hypervisor"
                  zonewright_model: "node"
                  zonewright_bmc: "10.64.32.38"
              children:
                controllers:
                  hosts:
                    "ctl1": {}
                pod_p01:
                  hosts:
                    "hv-p01-r1-u01": {}
                pod_p02:
                  hosts:
                    "hv-p02-r1-u01": {}
                rack_p01_r1:
                  hosts:
                    "hv-p01-r1-u01": {}
                rack_p02_r1:
                  hosts:
                    "hv-p02-r1-u01": {}
                role_hypervisor:
                  hosts:
                    "hv-p01-r1-u01": {}
                    "hv-p02-r1-u01": {}
        "#]],
        );
    }

    #[test]
    fn prometheus() {
        check(
            |plan| export::prometheus(plan, 9100),
            expect![[r#"
            [
              {
                "labels": {
                  "instance": "ctl1",
                  "location": "lab1/ctl1",
                  "model": "seed"
                },
                "targets": [
                  "10.64.255.182:9100"
                ]
              },
              {
                "labels": {
                  "instance": "hv-p01-r1-u01",
                  "location": "lab1/p01/r1/u01",
                  "model": "node",
                  "pod": "p01",
                  "rack": "r1",
                  "role": "hypervisor"
                },
                "targets": [
                  "10.64.0.6:9100"
                ]
              },
              {
                "labels": {
                  "instance": "hv-p02-r1-u01",
                  "location": "lab1/p02/r1/u01",
                  "model": "node",
                  "pod": "p02",
                  "rack": "r1",
                  "role": "hypervisor"
                },
                "targets": [
                  "10.64.32.6:9100"
                ]
              }
            ]
        "#]],
        );
    }

    #[test]
    fn hosts() {
        check(
            export::hosts,
            expect![[r#"
            10.64.255.238 core-c1.lab1.example.net core-c1
            2001:db8:64:ffff::6e core-c1.lab1.example.net core-c1
            10.64.255.182 ctl1.lab1.example.net ctl1
            2001:db8:64:ffff::36 ctl1.lab1.example.net ctl1
            10.64.255.190 p01-r1-leaf-a.lab1.example.net p01-r1-leaf-a
            2001:db8:64:ffff::3e p01-r1-leaf-a.lab1.example.net p01-r1-leaf-a
            10.64.255.191 p01-r1-leaf-b.lab1.example.net p01-r1-leaf-b
            2001:db8:64:ffff::3f p01-r1-leaf-b.lab1.example.net p01-r1-leaf-b
            10.64.255.193 p01-r1-lom.lab1.example.net p01-r1-lom
            2001:db8:64:ffff::41 p01-r1-lom.lab1.example.net p01-r1-lom
            10.64.0.6 hv-p01-r1-u01.lab1.example.net hv-p01-r1-u01
            2001:db8:64::6 hv-p01-r1-u01.lab1.example.net hv-p01-r1-u01
            10.64.0.38 hv-p01-r1-u01-bmc.lab1.example.net hv-p01-r1-u01-bmc
            2001:db8:64:1::6 hv-p01-r1-u01-bmc.lab1.example.net hv-p01-r1-u01-bmc
            10.64.255.202 p02-r1-leaf-a.lab1.example.net p02-r1-leaf-a
            2001:db8:64:ffff::4a p02-r1-leaf-a.lab1.example.net p02-r1-leaf-a
            10.64.255.203 p02-r1-leaf-b.lab1.example.net p02-r1-leaf-b
            2001:db8:64:ffff::4b p02-r1-leaf-b.lab1.example.net p02-r1-leaf-b
            10.64.255.205 p02-r1-lom.lab1.example.net p02-r1-lom
            2001:db8:64:ffff::4d p02-r1-lom.lab1.example.net p02-r1-lom
            10.64.32.6 hv-p02-r1-u01.lab1.example.net hv-p02-r1-u01
            2001:db8:64:2000::6 hv-p02-r1-u01.lab1.example.net hv-p02-r1-u01
            10.64.32.38 hv-p02-r1-u01-bmc.lab1.example.net hv-p02-r1-u01-bmc
            2001:db8:64:2001::6 hv-p02-r1-u01-bmc.lab1.example.net hv-p02-r1-u01-bmc
        "#]],
        );
    }

    #[test]
    fn cables() {
        check(
            export::cables,
            expect![[r#"
            StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID
            ctl1,eno1,core-c1,swp32,,
            p01-r1-leaf-a,swp32,core-c1,swp1,,
            p01-r1-leaf-b,swp32,core-c1,swp2,,
            p01-r1-lom,swp32,core-c1,swp3,,
            hv-p01-r1-u01,eno1,p01-r1-leaf-a,swp1,,
            hv-p01-r1-u01,eno2,p01-r1-leaf-b,swp1,,
            hv-p01-r1-u01,bmc,p01-r1-lom,swp1,,
            p02-r1-leaf-a,swp32,core-c1,swp5,,
            p02-r1-leaf-b,swp32,core-c1,swp6,,
            p02-r1-lom,swp32,core-c1,swp7,,
            hv-p02-r1-u01,eno1,p02-r1-leaf-a,swp1,,
            hv-p02-r1-u01,eno2,p02-r1-leaf-b,swp1,,
            hv-p02-r1-u01,bmc,p02-r1-lom,swp1,,
        "#]],
        );
    }

    #[test]
    fn dot() {
        check(
            export::dot,
            expect![[r#"
            graph "lab1" {
              node [shape=box];
              "lab1/core-c1" [label="core-c1", style=rounded];
              "lab1/ctl1" [label="ctl1", style=bold];
              subgraph "cluster p01" {
                label="p01";
                subgraph "cluster p01/r1" {
                  label="r1";
                  "lab1/p01/r1/leaf-a" [label="p01-r1-leaf-a", style=rounded];
                  "lab1/p01/r1/leaf-b" [label="p01-r1-leaf-b", style=rounded];
                  "lab1/p01/r1/lom" [label="p01-r1-lom", style=rounded];
                  "lab1/p01/r1/u01" [label="hv-p01-r1-u01"];
                }
              }
              subgraph "cluster p02" {
                label="p02";
                subgraph "cluster p02/r1" {
                  label="r1";
                  "lab1/p02/r1/leaf-a" [label="p02-r1-leaf-a", style=rounded];
                  "lab1/p02/r1/leaf-b" [label="p02-r1-leaf-b", style=rounded];
                  "lab1/p02/r1/lom" [label="p02-r1-lom", style=rounded];
                  "lab1/p02/r1/u01" [label="hv-p02-r1-u01"];
                }
              }
              "lab1/ctl1" -- "lab1/core-c1" [taillabel="eno1", headlabel="swp32"];
              "lab1/p01/r1/leaf-a" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp1"];
              "lab1/p01/r1/leaf-b" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp2"];
              "lab1/p01/r1/lom" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp3"];
              "lab1/p01/r1/u01" -- "lab1/p01/r1/leaf-a" [taillabel="eno1", headlabel="swp1"];
              "lab1/p01/r1/u01" -- "lab1/p01/r1/leaf-b" [taillabel="eno2", headlabel="swp1"];
              "lab1/p01/r1/u01" -- "lab1/p01/r1/lom" [taillabel="bmc", headlabel="swp1"];
              "lab1/p02/r1/leaf-a" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp5"];
              "lab1/p02/r1/leaf-b" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp6"];
              "lab1/p02/r1/lom" -- "lab1/core-c1" [taillabel="swp32", headlabel="swp7"];
              "lab1/p02/r1/u01" -- "lab1/p02/r1/leaf-a" [taillabel="eno1", headlabel="swp1"];
              "lab1/p02/r1/u01" -- "lab1/p02/r1/leaf-b" [taillabel="eno2", headlabel="swp1"];
              "lab1/p02/r1/u01" -- "lab1/p02/r1/lom" [taillabel="bmc", headlabel="swp1"];
            }
        "#]],
        );
    }

    /// A zone whose cables are read from what was exported is cabled alike.
    #[test]
    fn exported_cables_are_a_wiring_file() {
        let plan = plan();
        let wiring = export::cables(&plan);
        let text = include_str!("../../../../examples/pocket/zone.hcl").replace("u{01..04}", "u{01..01}");
        let without: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("cable ")).collect();
        let text = without.join("\n") + "\n\ncabling \"cables.csv\" {}\n";
        let files = [
            File { path: "cables.csv".into(), text: wiring.into() },
            File { path: "checks/kvm.yaml".into(), text: "".into() },
            File { path: "zone.hcl".into(), text: text.into() },
        ];
        let (design, found) = design::parse(&files);
        let design = design.unwrap_or_else(|| panic!("{found:#?}"));
        let ends = |cables: &[model::design::Cable]| cables.iter().map(|it| (it.a, it.b)).collect::<Vec<_>>();
        assert_eq!(ends(&design.cables), ends(&plan.design.cables));
    }
}
