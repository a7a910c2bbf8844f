//! Adopting: an account of our own, and another password for the factory's.

use crate::played::{FACTORY, Habits, Played, credentials, limits, quiet};
use bmc::{Adoption, Error, Fingerprint, Password, Trust, adopt};

fn adoption() -> Adoption {
    Adoption {
        ours: credentials(("zonewright", "Ours-2026.abcdef")),
        factory_password: "Theirs-2026.abcd".to_owned().into(),
    }
}

async fn adopts(played: &Played, factory: (&str, &str)) -> Result<(), Error> {
    let done =
        adopt(played.address, &credentials(factory), &adoption(), (Trust::First, None), limits(), &quiet())
            .await?;
    assert_eq!(done, Some(played.certificate));
    Ok(())
}

fn accounts(played: &Played) -> String {
    let state = played.state();
    let used = state.accounts.iter().filter(|(_, user, _)| !user.is_empty());
    used.map(|(id, user, password)| format!("{id} {user} {password}")).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_bmc_is_ours_however_it_keeps_accounts_and_no_session_is_left() {
    let made = "2 root Theirs-2026.abcd, 3 zonewright Ours-2026.abcdef";
    for habits in [
        Habits::default(),
        Habits { slots: true, ..Habits::default() },
        Habits { must_change: true, ..Habits::default() },
        Habits {
            must_change: true,
            slots: true,
            root: serde_json::json!({"Vendor": "Dell"}),
            ..Habits::default()
        },
        Habits { etag: Some("\"1\""), if_match: Some("*"), ..Habits::default() },
    ] {
        let played = Played::start(habits).await;
        adopts(&played, FACTORY).await.unwrap();
        assert_eq!(accounts(&played), made);
        assert!(played.state().sessions.is_empty());
        // Again, as after an interruption: the same.
        adopts(&played, FACTORY).await.unwrap();
        assert_eq!(accounts(&played), made);
    }
}

#[tokio::test]
async fn an_adoption_that_was_interrupted_is_finished() {
    // The account was made, the factory's password not yet changed.
    let played = Played::start(Habits::default()).await;
    played.state().accounts.push(("9".into(), "zonewright".into(), "Ours-2026.abcdef".into()));
    adopts(&played, FACTORY).await.unwrap();
    assert_eq!(accounts(&played), "2 root Theirs-2026.abcd, 9 zonewright Ours-2026.abcdef");
    // The demanded password was set, the account not yet made.
    let played = Played::start(Habits { must_change: true, ..Habits::default() }).await;
    played.state().accounts[0].2 = "Theirs-2026.abcd".into();
    adopts(&played, FACTORY).await.unwrap();
    assert_eq!(accounts(&played), "2 root Theirs-2026.abcd, 3 zonewright Ours-2026.abcdef");
}

#[tokio::test]
async fn wrong_credentials_change_nothing() {
    let played = Played::start(Habits::default()).await;
    assert_eq!(adopts(&played, ("root", "wrong")).await, Err(Error::Unauthorized));
    assert_eq!((accounts(&played).as_str(), played.changes()), ("2 root calvin", vec![]));
}

#[tokio::test]
async fn passwords_that_were_set_before_are_told_to_no_other_box() {
    let played = Played::start(Habits::default()).await;
    played.state().accounts[0].2 = "somebody changed it".into();
    let known = (Trust::First, Some(Fingerprint([7; 32])));
    let refused = adopt(played.address, &credentials(FACTORY), &adoption(), known, limits(), &quiet())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::OtherCertificate { .. }), "{refused}");
    assert_eq!(played.state().passwords_seen, ["calvin"]);
}

#[tokio::test]
async fn nothing_that_fails_shows_a_password() {
    let played = Played::start(Habits { must_change: true, ..Habits::default() }).await;
    let error = played.connect().await.err().unwrap();
    assert_eq!(error.to_string(), "it demands another password first; `zw bmc adopt` sets one");
    let shown = format!("{error:?} {:?} {:?}", adoption(), Password::generate(&[7; 32]));
    assert!(!shown.contains("2026") && !shown.contains("calvin"), "{shown}");
}
