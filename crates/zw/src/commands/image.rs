//! `zw image`: what machines boot, made from packages.

mod progress;

use super::check::failed;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use image::installer::BYTES_MAX;
use image::manifest::{self, Image};
use image::{Built, Request, lock_of};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make the images that machines boot, and look at them.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an image from packages.
    Build(BuildArgs),
    Show(ShowArgs),
}

#[derive(ClapArgs)]
struct BuildArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Installer(InstallerArgs),
    Os(OsArgs),
}

/// Make the installer: Debian's kernel, the modules and programs to install with, and the agent as the first process.
///
/// Packages are chosen by apt-get without installing any, kept in a cache by their digest, and written to a lock beside
/// the image. A build with a lock takes exactly its packages: the same packages and agent give the same octets.
#[derive(ClapArgs)]
#[command(after_help = INSTALLER_HELP)]
struct InstallerArgs {
    /// The image's directory; the lock is written beside it.
    #[arg(long, default_value = "images/installer", value_name = "DIR")]
    output: PathBuf,
    /// The agent, a static program [default: zw-agent beside this program, or as `cargo xtask agent` makes it].
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// A package more: its programs, and those firmware files that a module of the installer asks for.
    #[arg(long, value_name = "PACKAGE")]
    add: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Make an operating system: Debian 12 for machines to have on their disks, of no machine in particular.
///
/// Packages are installed by mmdebstrap into a directory of their own, and written to a lock beside the image. A build with
/// a lock takes exactly its packages: the same packages and overlay give the same octets. It needs no root.
#[derive(ClapArgs)]
#[command(after_help = OS_HELP)]
struct OsArgs {
    /// The image's directory; the lock is written beside it.
    #[arg(long, default_value = "images/debian", value_name = "DIR")]
    output: PathBuf,
    /// A package more, with all that it depends on.
    #[arg(long, value_name = "PACKAGE")]
    package: Vec<String>,
    /// A tree of files that is laid over the packages' own; all are root's, with their permissions.
    #[arg(long, value_name = "DIR")]
    overlay: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// How any image is made.
#[derive(ClapArgs)]
struct CommonArgs {
    /// Which of Debian's kernels.
    #[arg(long, value_enum, default_value_t = Kernel::Amd64)]
    kernel: Kernel,
    /// Where packages are kept [default: zonewright/packages in $XDG_CACHE_HOME or ~/.cache].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Packages come from this list of sources (*.list or *.sources) instead of the system's.
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
    /// Choose packages anew, and write the lock anew.
    #[arg(long)]
    update: bool,
    /// Compress less: sooner done, and larger.
    #[arg(long)]
    fast: bool,
    /// Print JSON: `digest`, `before`, and `manifest`.
    #[arg(long)]
    json: bool,
}

const INSTALLER_HELP: &str = "\
Examples:
  zw image build installer
  zw image build installer --kernel cloud --output lab/images/installer
  zw image build installer --add firmware-bnx2x --sources debian-with-firmware.sources

In the design, for a role whose `boot` is image.installer:

  image \"installer\" {
    kernel   = \"images/installer/vmlinuz\"
    initrd   = [\"images/installer/installer.img\", \"images/installer/agent.img\"]
    args     = \"console=tty0 console=ttyS0,115200 panic=30\"
    installs = true
  }

Keep images/installer.lock under version control; the image itself need not be.";

const OS_HELP: &str = "\
Examples:
  zw image build os
  zw image build os --package nginx-light --overlay overlays/web --output images/web
  zw image build os --kernel cloud --fast --output lab/images/debian

What is in every image, and what in none, is told in docs/guides/images.md. Keep images/debian.lock under version
control; the image itself need not be.";

/// A kernel of Debian.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kernel {
    /// For servers and virtual machines.
    Amd64,
    /// For virtual machines alone: smaller, without the drivers of most hardware.
    Cloud,
}

/// Say what is in an image, and whether its files are what its manifest says.
///
/// The exit status is 1 if they are not.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw image show images/installer\n  zw image show images/debian --json")]
struct ShowArgs {
    /// The image's directory.
    #[arg(default_value = "images/installer", value_name = "DIR")]
    directory: PathBuf,
    /// Print JSON: `digest`, `manifest`, and `differences`.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Build(BuildArgs { what: What::Installer(args) }) => installer(args),
        Command::Build(BuildArgs { what: What::Os(args) }) => os(args),
        Command::Show(args) => show(args),
    }
}

fn installer(args: &InstallerArgs) -> ExitCode {
    let agent = match agent(args.agent.as_deref()) {
        Ok(agent) => agent,
        Err(error) => return failed(&error),
    };
    let built = build(&args.output, &args.add, &args.common, |request, step| {
        image::installer::build(request, &agent, step)
    });
    let built = match built {
        Ok(built) => built,
        Err(status) => return status,
    };
    let size = built.image.manifest.size();
    if size > BYTES_MAX {
        let limit = megabytes(BYTES_MAX);
        let size = megabytes(size);
        let text = format!(
            "warning: the installer has {size}, more than {limit}: every machine fetches all of it\n"
        );
        // The image is there all the same.
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
    announced(&args.output, &built, args.common.json)
}

fn os(args: &OsArgs) -> ExitCode {
    let built = build(&args.output, &args.package, &args.common, |request, step| {
        image::os::build(request, args.overlay.as_deref(), step)
    });
    match built {
        Ok(built) => announced(&args.output, &built, args.common.json),
        Err(status) => status,
    }
}

/// Builds, and shows how far it is. A failure is told already.
fn build(
    output: &Path,
    add: &[String],
    args: &CommonArgs,
    build: impl FnOnce(&Request, &mut dyn FnMut(image::Step)) -> Result<Built, image::Error>,
) -> Result<Built, ExitCode> {
    let request = Request {
        output: output.to_owned(),
        kernel: match args.kernel {
            Kernel::Amd64 => "amd64",
            Kernel::Cloud => "cloud-amd64",
        }
        .to_owned(),
        cache: cache(args.cache.as_deref()).map_err(|error| failed(&error))?,
        add: add.to_vec(),
        sources: args.sources.clone(),
        is_update: args.update,
        is_fast: args.fast,
    };
    let mut shown = progress::Shown::new();
    let built = build(&request, &mut |step| shown.show(&step));
    shown.end();
    built.map_err(|error| failed(&error))
}

/// What any lab's machines can do with.
const FOR_LAB: CommonArgs =
    CommonArgs { kernel: Kernel::Cloud, cache: None, sources: None, update: false, fast: true, json: false };

/// Makes an installer for real machines of the lab, and the agent before it, where that can be. A failure is told already.
pub(crate) fn installer_for_lab(output: &Path) -> Result<(), ExitCode> {
    let agent = match agent(None) {
        Err(_) if make_agent() => agent(None),
        agent => agent,
    };
    let agent = agent.map_err(|error| failed(&error))?;
    build(output, &[], &FOR_LAB, |request, step| image::installer::build(request, &agent, step)).map(drop)
}

/// Makes an operating system for real machines of the lab. A failure is told already.
pub(crate) fn os_for_lab(output: &Path) -> Result<(), ExitCode> {
    build(output, &[], &FOR_LAB, |request, step| image::os::build(request, None, step)).map(drop)
}

/// Whether the agent was made: in a checkout, where `cargo run` says who it is, it can be.
fn make_agent() -> bool {
    let (Some(cargo), Some(directory)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
    else {
        return false;
    };
    let made = std::process::Command::new(cargo).args(["xtask", "agent"]).current_dir(directory).status();
    made.is_ok_and(|status| status.success())
}

fn announced(output: &Path, built: &Built, is_json: bool) -> ExitCode {
    let text = if is_json {
        let manifest = &built.image.manifest;
        let value = serde_json::json!({
            "digest": built.image.digest, "before": built.before, "manifest": manifest
        });
        format!("{value}\n")
    } else {
        told(output, built)
    };
    written(&text, ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> ExitCode {
    let image = match manifest::read(&args.directory) {
        Ok(Some(image)) => image,
        Ok(None) => {
            let shown = args.directory.display();
            return failed(&io::Error::other(format!(
                "{shown} is no image: it has no {}; `zw image build` makes one",
                manifest::FILE
            )));
        }
        Err(error) => return failed(&error),
    };
    let differences = manifest::differences(&args.directory, &image.manifest);
    let text = if args.json {
        let value = serde_json::json!({
            "digest": image.digest, "manifest": image.manifest, "differences": differences
        });
        format!("{value}\n")
    } else {
        let mut text = table(&args.directory, &image);
        for package in &image.manifest.packages {
            text += &format!("  {} {}\n", package.name, package.version);
        }
        if differences.is_empty() {
            text += "every file is what the manifest says\n";
        }
        for sentence in &differences {
            text += &format!("damaged: {sentence}\n");
        }
        text
    };
    written(&text, if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn written(text: &str, status: ExitCode) -> ExitCode {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
        _ => status,
    }
}

/// What was built, for whoever asked for it.
fn told(output: &Path, built: &Built) -> String {
    let mut text = table(output, &built.image);
    match &built.before {
        Some(before) if *before == built.image.digest => text += "it was there already, and was kept\n",
        Some(before) => text += &format!("it replaces {before}\n"),
        None => {}
    }
    text + &format!("its packages are in {}\n", lock_of(output).display())
}

fn table(directory: &Path, image: &Image) -> String {
    let manifest = &image.manifest;
    let mut text = format!("{}: {} {}\n", directory.display(), manifest.kind, image.digest);
    for file in &manifest.files {
        text += &format!("  {:<14} {:>9}\n", file.name, megabytes(file.size));
    }
    text += &format!("  {:<14} {:>9}\n", "together", megabytes(manifest.size()));
    text + &format!(
        "Linux {}, {} modules, from {} packages\n",
        manifest.kernel,
        manifest.modules,
        manifest.packages.len()
    )
}

fn megabytes(octets: u64) -> String {
    let tenths = (octets + 50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// The agent that was named, or one that lies where it is made.
pub(super) fn agent(named: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let this = std::env::current_exe()?;
    let directory = this.parent().unwrap_or(Path::new("/"));
    // In a checkout the static agent lies in a directory of its own target, two levels up and down.
    let places =
        [directory.join("zw-agent"), directory.join("../x86_64-unknown-linux-musl/release/zw-agent")];
    let is_static = |path: &&PathBuf| std::fs::read(path).is_ok_and(|file| image::is_static(&file));
    places.iter().find(is_static).cloned().ok_or_else(|| {
        io::Error::other(format!(
            "there is no static zw-agent beside {}: `cargo xtask agent` makes one, and --agent names another",
            this.display()
        ))
    })
}

/// The cache that was named, or the user's.
fn cache(named: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    caches
        .map(|caches| caches.join("zonewright/packages"))
        .ok_or_else(|| io::Error::other("there is no place for packages: set HOME, or name one with --cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded() {
        for (octets, text) in [(0, "0.0 MB"), (49_999, "0.0 MB"), (50_000, "0.1 MB"), (39_960_000, "40.0 MB")]
        {
            assert_eq!(megabytes(octets), text);
        }
    }

    #[test]
    fn the_help_teaches_a_block_that_a_design_understands() {
        let block: String = INSTALLER_HELP
            .lines()
            .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with("zw ")))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(design::format(&block).as_deref(), Some(block.as_str()));
        let zone = super::super::new::STARTER[0].1;
        let files =
            [model::finding::File { path: "zone.hcl".into(), text: format!("{zone}\n{block}").into() }];
        let (_, findings) = design::parse(&files);
        assert!(
            !findings.iter().any(|finding| format!("{finding:?}").contains("installer")),
            "{findings:#?}"
        );
    }
}
