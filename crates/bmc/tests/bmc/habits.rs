//! Busy, slow, forgetful, garrulous, of broken trust: what must do no harm.

use crate::played::{FACTORY, Habits, Played, SYSTEM, credentials, limits, quiet};
use bmc::{Bmc, BootSource, Error, Fingerprint, Lasts, Limits, Power, PowerState, Trust};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_session_is_used_and_ended() {
    let played = Played::start(Habits::default()).await;
    let mut bmc = played.connect().await.unwrap();
    assert_eq!(bmc.power_state().await.unwrap(), PowerState::Off);
    assert_eq!(played.state().sessions.len(), 1);
    bmc.close().await;
    assert!(played.state().sessions.is_empty());
}

#[tokio::test]
async fn without_sessions_or_with_too_many_the_password_goes_along() {
    for habits in [
        Habits { no_sessions: true, ..Habits::default() },
        Habits { sessions_full: true, ..Habits::default() },
    ] {
        let played = Played::start(habits).await;
        let mut bmc = played.connect().await.unwrap();
        assert_eq!(bmc.power_state().await.unwrap(), PowerState::Off);
        bmc.close().await;
    }
}

#[tokio::test]
async fn a_session_that_ended_is_made_anew_and_a_wrong_password_tried_once() {
    let played = Played::start(Habits { forgets_after: Some(3), ..Habits::default() }).await;
    let mut bmc = played.connect().await.unwrap();
    for _ in 0..8 {
        bmc.power_state().await.unwrap();
    }
    let wrong = played.connect_as(("root", "hunter2"), Trust::First).await.err();
    assert_eq!(wrong, Some(Error::Unauthorized));
    let tries = played.state().passwords_seen.iter().filter(|password| *password == "hunter2").count();
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn its_own_certificate_is_learned_once_and_another_is_refused_before_any_password() {
    let played = Played::start(Habits::default()).await;
    let bmc = played.connect().await.unwrap();
    assert_eq!(bmc.certificate(), Some(played.certificate));
    bmc.close().await;
    played.connect_as(FACTORY, Trust::Pinned(played.certificate)).await.unwrap().close().await;
    let known = Fingerprint([7; 32]);
    let before = played.state().asked.len();
    let error = played.connect_as(FACTORY, Trust::Pinned(known)).await.err().unwrap();
    assert_eq!(error, Error::OtherCertificate { known, shown: played.certificate });
    assert_eq!(played.state().asked.len(), before, "nothing was asked");
}

#[tokio::test]
async fn busy_is_waited_for_but_not_for_ever() {
    let played = Played::start(Habits { busy: 3, ..Habits::default() }).await;
    let mut bmc = played.connect().await.unwrap();
    assert_eq!(bmc.power_state().await.unwrap(), PowerState::Off);
    let played = Played::start(Habits { busy: 1_000, ..Habits::default() }).await;
    let error = played.connect().await.err().unwrap();
    assert_eq!(error.to_string(), "it refused, with HTTP status 503 and no reason");
    assert_eq!(played.state().asked.len(), 4);
}

#[tokio::test]
async fn who_never_answers_is_given_up_with_what_was_awaited() {
    let played = Played::start(Habits { silent: Some(SYSTEM), ..Habits::default() }).await;
    let hasty = Limits { answer: Duration::from_millis(200), ..limits() };
    let mut bmc =
        Bmc::connect(played.address, credentials(FACTORY), Trust::First, hasty, quiet()).await.unwrap();
    let error = bmc.power_state().await.unwrap_err();
    assert!(
        error.to_string().contains("an answer of https://127.0.0.1") && error.to_string().contains(SYSTEM),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_redfish_is_an_error_and_no_more() {
    let deep = "[".repeat(100_000);
    let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(5 << 20));
    let bodies = [
        ("<html>500</html>".to_owned(), "it is no JSON"),
        (deep, "it is no JSON"),
        (huge, "it is longer than"),
        ("[]".to_owned(), "it is no JSON object"),
        (String::new(), "it is no JSON object"),
        ("{\"Members\": 3}".to_owned(), "it has no system"),
        ("{\"Members\": [{\"@odata.id\": \"//evil.example.net/x\"}]}".to_owned(), "it has no system"),
    ];
    for (body, expected) in bodies {
        let played =
            Played::start(Habits { instead: vec![("/redfish/v1/Systems", body)], ..Habits::default() }).await;
        let mut bmc = played.connect().await.unwrap();
        let error = bmc.power_state().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn it_leads_elsewhere_on_itself_and_not_in_circles() {
    let leads = vec![("/redfish/v1/Systems", 301, "/redfish/v1/Systems2")];
    let members = json!({"Members": [{"@odata.id": SYSTEM}]}).to_string();
    let played = Played::start(Habits {
        leads,
        instead: vec![("/redfish/v1/Systems2", members)],
        ..Habits::default()
    })
    .await;
    let mut bmc = played.connect().await.unwrap();
    assert_eq!(bmc.power_state().await.unwrap(), PowerState::Off);
    // Another host is asked for nothing: the path is asked for here.
    let leads = vec![("/redfish/v1/Systems", 302, "https://192.0.2.1/redfish/v1/Systems")];
    let played = Played::start(Habits { leads, ..Habits::default() }).await;
    let error = played.connect().await.unwrap().power_state().await.unwrap_err().to_string();
    assert!(error.contains("HTTP 302"), "{error}");
    // A POST is not made a second time elsewhere, unless the BMC says so by 307 or 308.
    let reset = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
    let played = Played::start(Habits { leads: vec![(reset, 301, "/x")], ..Habits::default() }).await;
    let error = played.connect().await.unwrap().power(Power::On).await.unwrap_err().to_string();
    assert!(error.contains("leads elsewhere"), "{error}");
}

#[tokio::test]
async fn every_known_way_of_asking_for_a_precondition_is_met() {
    let ways = [
        Habits { etag: Some("\"1682\""), if_match: Some("\"1682\""), ..Habits::default() },
        Habits { etag: Some("W/\"1682\""), if_match: Some("\"1682\""), ..Habits::default() },
        Habits { etag: Some("\"\"1682\"\""), if_match: Some("\"1682\""), ..Habits::default() },
        Habits { if_match: Some("*"), ..Habits::default() },
        Habits { etag: Some("\"1682\""), no_if_match: true, ..Habits::default() },
    ];
    for habits in ways {
        let played = Played::start(habits).await;
        let mut bmc = played.connect().await.unwrap();
        bmc.boot_from(BootSource::Pxe, Lasts::Once, None).await.unwrap();
        assert_eq!(played.state().boot["BootSourceOverrideTarget"], "Pxe");
    }
}

/// A server does this in a task of its own.
#[test]
fn what_is_done_can_be_done_in_any_thread() {
    fn is_send<T: Send>(_: impl FnOnce(&'static mut Bmc) -> T) {}
    is_send(|bmc| bmc.power(Power::Cycle));
    is_send(|bmc| bmc.insert_media("http://192.0.2.1/a.iso", ""));
    is_send(|bmc| bmc.update("http://192.0.2.1/a.bin"));
    is_send(|bmc| bmc.inventory());
}
