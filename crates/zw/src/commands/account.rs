//! `zw account`: who may sign in to the page, and as what; `zw audit`: who did what.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::times;
use api::people::{AccountWish, Accounts, Audit, Audited, Role};
use clap::{Args as ClapArgs, Subcommand};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The longest file that a password is read from, in octets.
const PASSWORD_FILE_MAX: u64 = 4096;

/// Say who may sign in to the page, and what they may do.
///
/// It speaks to the controller's unix socket. A password is asked for, or read from a file or standard input; it is never an argument, which
/// everybody on this host could read.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw account add ada --role administer\n  \
                        zw account add wall --role view --password-file /run/secrets/wall\n  \
                        zw account role ada operate\n  zw account list\n\n\
                        Roles: view looks at everything, operate asks things of machines and stops changes, administer does everything.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    which: Which,
}

#[derive(Subcommand)]
enum Command {
    /// Make an account.
    Add {
        /// What its owner signs in as.
        name: String,
        /// What it may do.
        #[arg(long, default_value = "view", value_name = "ROLE")]
        role: RoleWord,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Show the accounts.
    List,
    /// Remove an account; whoever is signed in with it is signed out.
    Remove {
        /// Which.
        name: String,
    },
    /// Set another password; whoever is signed in with the account is signed out.
    Password {
        /// Which.
        name: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Give an account another role.
    Role {
        /// Which.
        name: String,
        /// What it may do from now on.
        #[arg(value_name = "ROLE")]
        role: RoleWord,
    },
}

/// Where a password comes from.
#[derive(ClapArgs)]
struct PasswordFrom {
    /// Read the password from the first line of this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RoleWord {
    /// Look at everything but the audit log and the accounts.
    View,
    /// Ask things of machines; pause, resume and abort changes.
    Operate,
    /// Everything.
    Administer,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::View => Self::View,
            RoleWord::Operate => Self::Operate,
            RoleWord::Administer => Self::Administer,
        }
    }
}

/// Show who did what through this controller, and from where.
#[derive(ClapArgs)]
pub(crate) struct AuditArgs {
    /// The last so many entries.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    last: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Runs `zw account`.
pub(crate) fn run(args: &Args) -> ExitCode {
    match args.which.find().and_then(|server| done(args, &server)) {
        Ok(said) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn done(args: &Args, server: &Server) -> Result<String, Failure> {
    let (wish, said) = match &args.command {
        Command::List => return Ok(listed(&client::get(server, "/v1/accounts")?)),
        Command::Add { name, role, password } => {
            let (name, role) = (name.clone(), Role::from(*role));
            let said = format!("{name} may sign in: {role}\n");
            (AccountWish::Add { password: password.read(&name)?, name, role }, said)
        }
        Command::Remove { name } => {
            (AccountWish::Remove { name: name.clone() }, format!("{name} is no more\n"))
        }
        Command::Password { name, password } => {
            let said = format!("{name} has another password\n");
            (AccountWish::Password { password: password.read(name)?, name: name.clone() }, said)
        }
        Command::Role { name, role } => {
            let role = Role::from(*role);
            (AccountWish::Role { name: name.clone(), role }, format!("{name} is {role} from now on\n"))
        }
    };
    let _: Accounts = client::post(server, "/v1/accounts", &wish)?;
    Ok(said)
}

fn listed(accounts: &Accounts) -> String {
    if accounts.accounts.is_empty() {
        return "nobody may sign in; zw account add NAME --role administer\n".to_owned();
    }
    let rows = accounts.accounts.iter().map(|account| {
        vec![
            account.name.clone(),
            account.role.to_string(),
            times::date_and_time(account.made),
            account.by.clone(),
            times::date_and_time(account.password_set),
        ]
    });
    table(&["account", "role", "made", "by", "password set"], rows)
}

impl PasswordFrom {
    fn read(&self, name: &str) -> Result<String, Failure> {
        let read = match &self.password_file {
            Some(path) => from_file(path),
            None if std::io::stdin().is_terminal() => asked(name),
            None => first_line(std::io::stdin().lock()),
        };
        read.map_err(|error| Failure::Refused(format!("the password could not be read: {error}")))
    }
}

fn from_file(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() == "-" {
        return first_line(std::io::stdin().lock());
    }
    first_line(std::io::BufReader::new(std::fs::File::open(path)?))
}

fn first_line(from: impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    from.take(PASSWORD_FILE_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// From the terminal, twice, and not shown.
fn asked(name: &str) -> std::io::Result<String> {
    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden)?;
    let ask = |words: &str| {
        // Nobody sees the question: the answer is read all the same.
        let _ = write!(anstream::stderr(), "{words}");
        let line = first_line(stdin.lock());
        let _ = writeln!(anstream::stderr());
        line
    };
    let lines = ask(&format!("Password of {name}: ")).and_then(|first| Ok((first, ask("Once more: ")?)));
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &shown)?;
    let (first, again) = lines?;
    match first == again {
        true => Ok(first),
        false => Err(std::io::Error::other("it was not the same twice")),
    }
}

/// Runs `zw audit`.
pub(crate) fn audit(args: &AuditArgs) -> ExitCode {
    let told = args.which.find().and_then(|server| {
        let audit: Audit = client::get(&server, &format!("/v1/audit?last={}", args.last))?;
        Ok(if args.json {
            let mut text = serde_json::to_string_pretty(&audit).unwrap_or_default();
            text.push('\n');
            text
        } else {
            table(&["when", "who", "from", "outcome", "what"], audit.entries.iter().map(audited))
        })
    });
    match told {
        Ok(told) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(told.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

/// What may be long stands last, where it pads nothing: what was done, and why it was not.
fn audited(entry: &Audited) -> Vec<String> {
    let (outcome, what) = match entry.outcome.as_str() {
        "done" => ("done", entry.did.clone()),
        why => ("refused", format!("{}: {}", entry.did, why.strip_prefix("refused: ").unwrap_or(why))),
    };
    vec![times::date_and_time(entry.at), entry.by.clone(), entry.from.clone(), outcome.to_owned(), what]
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_hides_no_outcome() {
        let entry = |did: &str, outcome: &str| Audited {
            at: model::Time(0),
            by: "ada".to_owned(),
            from: "unix socket".to_owned(),
            did: did.to_owned(),
            outcome: outcome.to_owned(),
        };
        let long = format!("apply ({})", "x".repeat(500));
        let entries = [entry("reload: plan #2", "done"), entry(&long, "refused: nothing is stored")];
        let told = table(&["when", "who", "from", "outcome", "what"], entries.iter().map(audited));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].ends_with("done     reload: plan #2"), "{told}");
        assert!(
            lines[2].contains("refused  apply (xxx") && lines[2].ends_with("x): nothing is stored"),
            "{told}"
        );
    }
}
