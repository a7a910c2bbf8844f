//! Which request needs which role. What is not listed here is for the unix socket alone.

use super::Visitor;
use api::people::Role;
use axum::http::Method;

/// What a request needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// A role.
    Role(Role),
    /// The unix socket.
    Socket,
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum No {
    /// Somebody has to sign in first.
    SignIn,
    /// Whoever is signed in may not.
    Role(Role),
    /// Only on the unix socket.
    Socket,
    /// Another site's page sent it, and not the person whose session it came with.
    Elsewhere,
}

impl No {
    /// As an answer and the audit log say it.
    pub(crate) fn in_words(self, visitor: &Visitor) -> String {
        match self {
            Self::SignIn => "sign in first, or use the unix socket".to_owned(),
            Self::Role(role) => format!("this needs the role `{role}`"),
            Self::Socket if visitor.identity.is_some() => {
                "nobody may ask this on TCP, whatever the role; use the unix socket".to_owned()
            }
            Self::Socket => "on TCP this API is for reading only; use the unix socket".to_owned(),
            Self::Elsewhere => "this was sent by another site's page".to_owned(),
        }
    }
}

/// What everybody may have: how to sign in, and what firmware and browsers must be given first.
const OPEN: &[&str] = &["/sign-in", "/v1/authority"];
/// The page's own parts: style and scripts tell nothing.
const PARTS: &str = "/page/parts/";
/// What only administrators read.
const PRIVATE: &[&str] = &["/audit", "/v1/audit", "/v1/accounts"];

/// What a request needs.
pub(crate) fn needs(method: &Method, path: &str) -> Needs {
    if *method == Method::GET || *method == Method::HEAD {
        return match path {
            path if OPEN.contains(&path) || path.starts_with(PARTS) => Needs::Nothing,
            path if PRIVATE.contains(&path) => Needs::Role(Role::Administer),
            _ => Needs::Role(Role::View),
        };
    }
    if *method != Method::POST {
        return Needs::Socket;
    }
    match path {
        "/sign-in" | "/sign-out" => Needs::Nothing,
        "/v1/reload" | "/v1/edges" | "/v1/accounts" | "/v1/apply" | "/v1/rollback" => {
            Needs::Role(Role::Administer)
        }
        path if path.starts_with("/v1/bmc/") => Needs::Role(Role::Administer),
        "/v1/restart" => Needs::Role(Role::Operate),
        path if path.starts_with("/v1/machines/") || path.starts_with("/v1/changes/") => {
            Needs::Role(Role::Operate)
        }
        _ => Needs::Socket,
    }
}

/// Whether a visitor may.
pub(crate) fn judge(needs: Needs, visitor: &Visitor, is_socket: bool) -> Result<(), No> {
    match needs {
        Needs::Nothing => Ok(()),
        _ if is_socket => Ok(()),
        Needs::Role(role) if visitor.may(role) => Ok(()),
        Needs::Role(_) if visitor.identity.is_none() && visitor.may_sign_in => Err(No::SignIn),
        Needs::Role(role) if visitor.identity.is_some() => Err(No::Role(role)),
        Needs::Role(_) | Needs::Socket => Err(No::Socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Identity;

    fn visitor(role: Option<Role>, is_tls: bool, is_loopback: bool) -> Visitor {
        let identity = role.map(|role| Identity { name: "a".into(), role, has_account: true });
        Visitor {
            role: role.or((!is_tls).then_some(Role::View)),
            identity,
            may_sign_in: is_tls || is_loopback,
            is_tls,
            from: String::new(),
        }
    }

    fn asks(visitor: &Visitor, method: &Method, path: &str) -> Result<(), No> {
        judge(needs(method, path), visitor, false)
    }

    #[test]
    fn each_role_may_what_those_before_it_may() {
        let [get, post] = [Method::GET, Method::POST];
        let requests = [
            (&get, "/"),
            (&get, "/v1/status"),
            (&post, "/v1/machines/p01/r1/u01/wish"),
            (&post, "/v1/changes/7"),
            (&get, "/audit"),
            (&get, "/v1/accounts"),
            (&post, "/v1/reload"),
            (&post, "/v1/apply"),
            (&post, "/v1/bmc/p01/r1/u01"),
        ];
        let may = |role| {
            let visitor = visitor(role, true, false);
            requests.map(|(method, path)| asks(&visitor, method, path).is_ok())
        };
        assert_eq!(may(None), [false; 9]);
        assert_eq!(may(Some(Role::View)), [true, true, false, false, false, false, false, false, false]);
        assert_eq!(may(Some(Role::Operate)), [true, true, true, true, false, false, false, false, false]);
        assert_eq!(may(Some(Role::Administer)), [true; 9]);
    }

    #[test]
    fn who_is_refused_is_told_what_would_help() {
        let post = Method::POST;
        let wish = "/v1/machines/p01/r1/u01/wish";
        assert_eq!(asks(&visitor(None, false, true), &post, wish), Err(No::SignIn));
        assert_eq!(asks(&visitor(None, true, false), &Method::GET, "/"), Err(No::SignIn));
        assert_eq!(asks(&visitor(None, false, false), &post, wish), Err(No::Socket));
        assert_eq!(asks(&visitor(Some(Role::View), true, false), &post, wish), Err(No::Role(Role::Operate)));
        assert_eq!(asks(&visitor(None, false, false), &Method::GET, "/v1/status"), Ok(()));
    }

    #[test]
    fn what_is_not_listed_is_for_the_unix_socket() {
        let administrator = visitor(Some(Role::Administer), true, false);
        for (method, path) in
            [(Method::POST, "/v1/new"), (Method::PUT, "/v1/machines/x"), (Method::DELETE, "/")]
        {
            assert_eq!(asks(&administrator, &method, path), Err(No::Socket), "{method} {path}");
            assert_eq!(judge(needs(&method, path), &administrator, true), Ok(()));
        }
    }

    #[test]
    fn without_a_session_one_sees_how_to_sign_in_and_nothing_else() {
        let nobody = visitor(None, true, false);
        for path in ["/sign-in", "/v1/authority", "/page/parts/page.css"] {
            assert_eq!(asks(&nobody, &Method::GET, path), Ok(()), "{path}");
        }
        for path in ["/", "/machines/p01/r1/u01", "/page/zone.json", "/v1/events", "/metrics"] {
            assert_eq!(asks(&nobody, &Method::GET, path), Err(No::SignIn), "{path}");
        }
    }
}
