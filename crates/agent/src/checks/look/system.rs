//! Users, groups, processes, packages and services.

use super::command::{self, Output};
use super::{Found, Value};
use nix::unistd::{Group, User, getgrouplist};
use std::ffi::CString;
use std::fs;

/// More processes are not looked at.
const PROCESSES_MAX: usize = 1 << 16;

pub(super) fn user(name: &str) -> Found {
    let user =
        User::from_name(name).map_err(|error| format!("failed to look up the user {name}: {error}"))?;
    let Some(user) = user else { return Ok(vec![("exists", Value::Flag(false))]) };
    let groups =
        CString::new(name).ok().and_then(|name| getgrouplist(&name, user.gid).ok()).unwrap_or_default();
    let name_of = |gid: nix::unistd::Gid| {
        Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
    };
    Ok(vec![
        ("exists", Value::Flag(true)),
        ("uid", Value::Number(user.uid.as_raw().into())),
        ("gid", Value::Number(user.gid.as_raw().into())),
        ("groups", Value::List(groups.into_iter().map(name_of).collect())),
        ("home", Value::Text(user.dir.to_string_lossy().into_owned())),
        ("shell", Value::Text(user.shell.to_string_lossy().into_owned())),
    ])
}

pub(super) fn group(name: &str) -> Found {
    let group =
        Group::from_name(name).map_err(|error| format!("failed to look up the group {name}: {error}"))?;
    Ok(match group {
        None => vec![("exists", Value::Flag(false))],
        Some(group) => vec![("exists", Value::Flag(true)), ("gid", Value::Number(group.gid.as_raw().into()))],
    })
}

/// A process is known by the file it runs, or by the name it shows.
pub(super) fn process(name: &str) -> Found {
    let entries = fs::read_dir("/proc").map_err(|error| format!("failed to list the processes: {error}"))?;
    let count = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .take(PROCESSES_MAX)
        .filter(|entry| {
            let runs = fs::read_link(entry.path().join("exe"));
            let runs = runs.is_ok_and(|path| path.file_name().is_some_and(|file| file == name));
            runs || fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        })
        .count();
    Ok(vec![
        ("running", Value::Flag(count > 0)),
        ("count", Value::Number(i64::try_from(count).unwrap_or(i64::MAX))),
    ])
}

/// Asks dpkg, and where there is none, rpm.
pub(super) async fn package(name: &str) -> Found {
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let dpkg =
        command::output(&words(&["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}\n", "--", name]))
            .await;
    let versions = match dpkg {
        Ok(Output { status: 0, stdout, .. }) => installed(&stdout),
        Ok(_) => Vec::new(),
        Err(_) => match command::output(&words(&[
            "rpm",
            "-q",
            "--qf",
            "installed %{VERSION}-%{RELEASE}\n",
            "--",
            name,
        ]))
        .await
        {
            Ok(Output { status: 0, stdout, .. }) => installed(&stdout),
            Ok(_) => Vec::new(),
            Err(_) => return Err("there is neither dpkg nor rpm to ask".into()),
        },
    };
    Ok(vec![("installed", Value::Flag(!versions.is_empty())), ("versions", Value::List(versions))])
}

/// Versions of lines such as `installed 1:7.2+dfsg-7`.
fn installed(lines: &str) -> Vec<String> {
    lines.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect()
}

/// Whether systemd has not yet started all that it starts at boot.
pub(crate) async fn is_starting() -> bool {
    let words = ["systemctl", "is-system-running"].map(str::to_owned);
    let output = command::output(&words).await;
    output.is_ok_and(|output| ["initializing", "starting"].contains(&output.stdout.trim()))
}

/// Asks systemd.
pub(super) async fn service(name: &str) -> Found {
    let ask = async |verb: &str| {
        let words = ["systemctl", verb, "--", name].map(str::to_owned);
        command::output(&words).await.map(|output| output.stdout.trim().to_owned())
    };
    let (enabled, active) = (ask("is-enabled").await, ask("is-active").await);
    match (enabled, active) {
        (Ok(enabled), Ok(active)) => Ok(vec![
            // `static` units have nothing to enable; `alias` and `generated` ones are enabled by others.
            (
                "enabled",
                Value::Flag(
                    ["enabled", "enabled-runtime", "static", "alias", "generated"]
                        .contains(&enabled.as_str()),
                ),
            ),
            ("running", Value::Flag(["active", "reloading"].contains(&active.as_str()))),
        ]),
        _ => Err("there is no systemctl to ask".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(found: Found, attribute: &str) -> Option<Value> {
        found.expect("looked").into_iter().find(|(name, _)| *name == attribute).map(|(_, value)| value)
    }

    #[test]
    fn root_is_a_user_with_a_group_and_a_home() {
        assert_eq!(of(user("root"), "uid"), Some(Value::Number(0)));
        assert_eq!(of(user("root"), "home"), Some(Value::Text("/root".into())));
        assert!(
            matches!(of(user("root"), "groups"), Some(Value::List(groups)) if groups.contains(&"root".to_owned()))
        );
        assert_eq!(user("nobody-of-that-name"), Ok(vec![("exists", Value::Flag(false))]));
        assert_eq!(of(group("root"), "gid"), Some(Value::Number(0)));
    }

    #[test]
    fn this_test_is_a_process_that_runs() {
        let own = std::env::current_exe().expect("a path");
        let name = own.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(of(process(name), "running"), Some(Value::Flag(true)));
        assert_eq!(of(process("no-such-program"), "count"), Some(Value::Number(0)));
    }

    #[test]
    fn versions_are_those_of_installed_packages() {
        assert_eq!(installed("installed 1:7.2+dfsg-7\nconfig-files 3\n"), ["1:7.2+dfsg-7"]);
    }
}
