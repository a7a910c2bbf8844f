//! What is asked of machines.

use crate::played::{FACTORY, Habits, Played, credentials, limits};
use bmc::{Bmc, BootMode, BootSource, Lasts, Power, PowerState, Progress, Trust};
use expect_test::expect;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

async fn after(habits: Habits, power: &[Power]) -> (Vec<String>, Vec<String>) {
    let played = Played::start(habits).await;
    let mut bmc = played.connect().await.unwrap();
    let mut states = Vec::new();
    for wanted in power {
        match bmc.power(*wanted).await {
            Ok(state) => states.push(state.to_string()),
            Err(error) => states.push(error.to_string()),
        }
    }
    bmc.close().await;
    (
        states,
        played.changes().iter().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()).collect(),
    )
}

#[tokio::test]
async fn power_is_put_and_waited_for_and_left_alone_where_it_is_so_already() {
    use Power::{Cycle, ForceOff, Off, On};
    let habits = Habits { looks: 3, ..Habits::default() };
    let (states, resets) = after(habits, &[On, On, Cycle, Off, Off, ForceOff, Cycle, ForceOff]).await;
    assert_eq!(states.join(" "), "on on on off off off on off");
    expect![[r#"
        {"ResetType":"On"}
        {"ResetType":"ForceRestart"}
        {"ResetType":"GracefulShutdown"}
        {"ResetType":"On"}
        {"ResetType":"ForceOff"}"#]]
    .assert_eq(&resets.join("\n"));
}

#[tokio::test]
async fn a_bmc_that_cannot_restart_is_put_off_and_on() {
    let resets = json!({"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
        "@Redfish.ActionInfo": "/redfish/v1/Systems/1/ResetActionInfo"}});
    let habits = Habits { system: json!({ "Actions": resets }), ..Habits::default() };
    let (states, resets) = after(habits, &[Power::On, Power::Cycle, Power::Off]).await;
    assert_eq!(
        states,
        ["on", "on", "it has no reset GracefulShutdown or PushPowerButton; it knows On, ForceOff"]
    );
    expect![[r#"
        {"ResetType":"On"}
        {"ResetType":"ForceOff"}
        {"ResetType":"On"}"#]]
    .assert_eq(&resets.join("\n"));
}

async fn boots(habits: Habits, source: BootSource, lasts: Lasts, mode: Option<BootMode>) -> String {
    let played = Played::start(habits).await;
    let mut bmc = played.connect().await.unwrap();
    match bmc.boot_from(source, lasts, mode).await {
        Ok(()) => played.changes().join("\n"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_boot_override_is_as_this_vendor_takes_it() {
    let plain = |source, lasts| boots(Habits::default(), source, lasts, None);
    let of = |vendor: &str| Habits { root: json!({ "Vendor": vendor }), ..Habits::default() };
    let moved = Habits {
        system: json!({"@Redfish.Settings": {"SettingsObject": {"@odata.id": "/redfish/v1/Systems/1/SD"}}}),
        ..Habits::default()
    };
    let told = Habits {
        refuses: Some(("/redfish/v1/Systems/1", "OperationSupportedInFutureStateURI")),
        ..moved.clone()
    };
    let without = Habits {
        system: json!({"Boot": null, "@Redfish.Settings": moved.system["@Redfish.Settings"]}),
        ..Habits::default()
    };
    let ami = Habits { root: json!({"Vendor": "AMI"}), ..moved };
    let once = Lasts::Once;
    let all = [
        plain(BootSource::Pxe, once).await,
        plain(BootSource::Http, Lasts::Always).await,
        plain(BootSource::Usual, once).await,
        boots(Habits::default(), BootSource::Disk, once, Some(BootMode::Uefi)).await,
        boots(of("Supermicro"), BootSource::Pxe, once, None).await,
        boots(of("HPE"), BootSource::Pxe, once, Some(BootMode::Uefi)).await,
        boots(of("HPE"), BootSource::Pxe, once, Some(BootMode::Legacy)).await,
        boots(ami, BootSource::Pxe, once, None).await,
        boots(told, BootSource::Pxe, once, None).await,
        boots(without, BootSource::Cd, once, None).await,
    ];
    expect![[r#"
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Continuous","BootSourceOverrideTarget":"UefiHttp"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Disabled","BootSourceOverrideTarget":"None"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI","BootSourceOverrideTarget":"Hdd"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI","BootSourceOverrideTarget":"Pxe"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}
        it has no way to change the boot mode; it is part of the firmware's settings
        PATCH /redfish/v1/Systems/1/SD {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}
        PATCH /redfish/v1/Systems/1 {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}
        PATCH /redfish/v1/Systems/1/SD {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}
        PATCH /redfish/v1/Systems/1/SD {"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Cd"}}"#]]
    .assert_eq(&all.join("\n"));
}

#[tokio::test]
async fn an_image_is_inserted_in_place_of_another_and_ejected() {
    for media_wants_all in [false, true] {
        let played = Played::start(Habits { media_wants_all, ..Habits::default() }).await;
        let mut bmc = played.connect().await.unwrap();
        bmc.insert_media("http://192.0.2.1/a.iso", "").await.unwrap();
        bmc.insert_media("http://192.0.2.1/b.iso", "").await.unwrap();
        bmc.insert_media("http://192.0.2.1/b.iso", "").await.unwrap();
        assert_eq!(played.state().image.as_deref(), Some("http://192.0.2.1/b.iso"));
        assert_eq!(bmc.eject_media("").await.unwrap(), 1);
        assert_eq!(bmc.eject_media("").await.unwrap(), 0);
        let count = played.changes().iter().filter(|line| line.contains("EjectMedia")).count();
        assert_eq!((played.state().image.clone(), count), (None, 2));
    }
}

#[tokio::test]
async fn an_image_of_somebody_elses_is_left_where_it_is() {
    let played = Played::start(Habits::default()).await;
    let mut bmc = played.connect().await.unwrap();
    let (ours, key) = ("http://192.0.2.1/key/", "http://192.0.2.1/key/b.iso");
    bmc.insert_media("http://192.0.2.9/rescue.iso", "").await.unwrap();
    let refused = bmc.insert_media(key, ours).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it failed: its virtual CD holds http://192.0.2.9/rescue.iso; eject that first"
    );
    assert_eq!(bmc.eject_media(ours).await.unwrap(), 0);
    assert_eq!(played.state().image.as_deref(), Some("http://192.0.2.9/rescue.iso"));
    // What is ours gives way to what is ours.
    bmc.eject_media("").await.unwrap();
    bmc.insert_media("http://192.0.2.1/key/a.iso", ours).await.unwrap();
    bmc.insert_media(key, ours).await.unwrap();
    assert_eq!(played.state().image.as_deref(), Some(key));
    assert_eq!(bmc.eject_media("http://192.0.2.1/key/a.iso").await.unwrap(), 0);
    assert_eq!(bmc.eject_media(key).await.unwrap(), 1);
}

#[tokio::test]
async fn media_are_at_the_manager_where_the_system_has_none() {
    let system = json!({"VirtualMedia": null});
    let manager = json!({"VirtualMedia": {"@odata.id": "/redfish/v1/Managers/BMC/VirtualMedia"}});
    let instead = vec![("/redfish/v1/Managers/BMC", manager.to_string())];
    let played = Played::start(Habits { system, instead, ..Habits::default() }).await;
    played.connect().await.unwrap().insert_media("http://192.0.2.1/a.iso", "").await.unwrap();
    assert_eq!(played.state().image.as_deref(), Some("http://192.0.2.1/a.iso"));
}

#[tokio::test]
async fn an_inventory_is_whole_over_pages_and_says_what_it_could_not_read() {
    let played = Played::start(Habits::default()).await;
    let inventory = played.connect().await.unwrap().inventory().await.unwrap();
    expect![[r#"
        Inventory {
            vendor: "Contoso",
            model: "3500",
            serial: "437XR1138R2",
            uuid: "38947555-7742-3448-3784-823347823834",
            bios: "P79 v1.45",
            firmware: "1.45.455b66-rev4",
            power: Off,
            health: "OK",
            processors: Some(
                2,
            ),
            processor_model: "Multi-Core",
            memory_gib: Some(
                96.0,
            ),
            nics: [
                Nic {
                    id: "1",
                    mac: "aa:bb:cc:dd:ee:01",
                    mbps: Some(
                        25000,
                    ),
                },
                Nic {
                    id: "2",
                    mac: "aa:bb:cc:dd:ee:02",
                    mbps: Some(
                        25000,
                    ),
                },
            ],
            drives: [
                Drive {
                    name: "Disk 0",
                    model: "C123",
                    serial: "1234570",
                    bytes: Some(
                        899527000000,
                    ),
                    media: "SSD",
                },
            ],
            unread: [],
        }
    "#]]
    .assert_debug_eq(&inventory);
    let instead = vec![("/redfish/v1/Systems/1/Storage/1", "<html>".to_owned())];
    let played = Played::start(Habits { instead, ..Habits::default() }).await;
    let inventory = played.connect().await.unwrap().inventory().await.unwrap();
    assert!(inventory.drives.is_empty() && inventory.nics.len() == 2);
    assert!(
        inventory.unread[0].starts_with("disks: its answer about /redfish/v1/Systems/1/Storage/1"),
        "{inventory:?}"
    );
}

/// What came of an update, and the percentages that were told.
async fn update(task: Vec<Value>) -> (String, Vec<u8>) {
    let played = Played::start(Habits { task, ..Habits::default() }).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let tell = Arc::new(move |progress: Progress| tell.lock().unwrap().extend(progress.percent));
    let mut bmc =
        Bmc::connect(played.address, credentials(FACTORY), Trust::First, limits(), tell).await.unwrap();
    let came = bmc.update("http://192.0.2.1/firmware.bin").await;
    bmc.close().await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    (came.map_or_else(|error| error.to_string(), |()| "updated".to_owned()), told)
}

#[tokio::test]
async fn an_update_is_followed_to_its_end_good_or_bad() {
    let running = |percent: u8| json!({"TaskState": "Running", "PercentComplete": percent});
    let (came, told) =
        update(vec![running(0), running(40), json!({"TaskState": "Completed", "TaskStatus": "OK"})]).await;
    assert_eq!((came.as_str(), told), ("updated", vec![0, 40, 100]));
    let failed = json!({"TaskState": "Exception", "Messages": [{"Message": "The image is not signed."}]});
    assert_eq!(update(vec![running(10), failed]).await.0, "it failed: The image is not signed.");
    let (forgotten, _) = update(vec![running(90), Value::Null]).await;
    assert!(forgotten.contains("no longer knows the task"), "{forgotten}");
    assert_eq!(update(Vec::new()).await.0, "updated", "a monitor that ends with 204");
    let played = Played::start(Habits::default()).await;
    let error = played.connect().await.unwrap().update("https://192.0.2.1/firmware.bin").await.unwrap_err();
    assert_eq!(error.to_string(), "it has no HTTPS for firmware; it fetches by HTTP, TFTP");
}

#[tokio::test]
async fn the_system_of_several_is_the_one_that_a_quirk_names() {
    let members = json!({"Members": [{"@odata.id": "/redfish/v1/Systems/HGX_Baseboard_0"}, {"@odata.id": "/redfish/v1/Systems/System_0"}]});
    let system = json!({"PowerState": "On", "Actions": {"#ComputerSystem.Reset": {}}}).to_string();
    let instead = vec![
        ("/redfish/v1/Systems", members.to_string()),
        ("/redfish/v1/Systems/System_0", system.clone()),
        ("/redfish/v1/Systems/HGX_Baseboard_0", system.replace("On", "Off")),
    ];
    let of = |vendor: &str| Habits {
        root: json!({ "Vendor": vendor }),
        instead: instead.clone(),
        ..Habits::default()
    };
    let played = Played::start(of("NVIDIA")).await;
    assert_eq!(played.connect().await.unwrap().power_state().await.unwrap(), PowerState::On);
    let played = Played::start(of("Contoso")).await;
    let error = played.connect().await.unwrap().power_state().await.unwrap_err();
    assert!(error.to_string().starts_with("it has no one system but 2"), "{error}");
}
