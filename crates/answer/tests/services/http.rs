//! HTTP boot.

use crate::zone;
use answer::http::{Body, Method, Reply, Request, boot, octets, refused};
use expect_test::{Expect, expect};
use model::facts::{Armed, Installed, Machine, Purpose, State};
use model::{Generation, Reason, Time, View};
use std::net::IpAddr;

const NOW: Time = Time(1_000_000);

fn request(method: Method, path: &str, client: IpAddr) -> Request<'_> {
    Request { method, path, range: None, if_range: None, if_none_match: None, client, is_secure: false }
}

/// The reply to a GET from the machine or controller with this name.
fn get(view: &View, path: &str, name: &str) -> Result<Reply, Reason> {
    let client = zone::v4(&view.plan, name).into();
    boot(view, &request(Method::Get, path, client), NOW).map_err(|refusal| refusal.reason)
}

fn header(reply: &Reply, name: &str) -> Option<String> {
    let mut headers = reply.headers.iter();
    headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
}

fn text(reply: &Reply) -> &str {
    match &reply.body {
        Body::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the table reads better without a reference in each line")]
fn check(reply: &Reply, expected: Expect) {
    let headers = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let body = match &reply.body {
        Body::Empty => "(no body)\n".to_owned(),
        Body::Text(text) => text.clone(),
        Body::Octets(octets) => format!("({} octets)\n", octets.len()),
        Body::File { file, range } => format!("(octets {range:?} of file {})\n", file.0),
    };
    expected.assert_eq(&format!("{}\n{}\n{body}", reply.status, headers.collect::<String>()));
}

#[test]
fn a_machine_gets_its_own_script() {
    let view = zone::view();
    let reply = get(&view, "/boot/auto.ipxe", "hv-u1").unwrap();
    assert!(reply.tells.is_some());
    check(
        &reply,
        expect![[r#"
        200
        Content-Type: text/plain; charset=utf-8
        Content-Length: 1201
        Cache-Control: no-store

        #!ipxe
        # ams1/p1/r1/u1: image kvm of plan #7
        set wait:int32 9
        :try0
        imgfree
        kernel http://10.33.255.158/image/kvm/images/kvm/vmlinuz initrd=initrd0 zw.controller=https://10.33.255.158:8443 zw.controller=https://10.33.255.159:8443 zw.ca=sha256:cacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca zw.location=ams1/p1/r1/u1 zw.generation=7 console=ttyS0 || goto try1
        initrd --name initrd0 http://10.33.255.158/image/kvm/images/kvm/initrd.img || goto try1
        boot || goto try1
        :try1
        imgfree
        kernel http://10.33.255.159/image/kvm/images/kvm/vmlinuz initrd=initrd0 zw.controller=https://10.33.255.158:8443 zw.controller=https://10.33.255.159:8443 zw.ca=sha256:cacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca zw.location=ams1/p1/r1/u1 zw.generation=7 console=ttyS0 || goto try2
        initrd --name initrd0 http://10.33.255.159/image/kvm/images/kvm/initrd.img || goto try2
        boot || goto try2
        :try2
        echo zonewright: ams1/p1/r1/u1 did not boot, trying again in ${wait} s
        sleep ${wait}
        inc wait ${wait}
        iseq ${wait} 144 || goto try0
        chain --autofree --replace http://10.33.255.158/boot/auto.ipxe ||
        chain --autofree --replace http://10.33.255.159/boot/auto.ipxe ||
        set wait:int32 9
        goto try0
    "#]],
    );
    assert_eq!(get(&view, "/boot/ams1/p1/r1/u1.ipxe", "hv-u1"), Ok(reply));
}

#[test]
fn a_script_over_ipv6_names_ipv6_controllers() {
    let view = zone::view();
    let client = zone::v6(&view.plan, "hv-u1").into();
    let reply = boot(&view, &request(Method::Get, "/boot/auto.ipxe", client), NOW).unwrap();
    let controller = zone::v6(&view.plan, "ctl1");
    assert!(text(&reply).contains(&format!("http://[{controller}]/image/kvm/")), "{}", text(&reply));
    assert!(!text(&reply).contains("http://10."));
}

#[test]
fn nobody_gets_the_script_of_another() {
    let view = zone::view();
    assert_eq!(get(&view, "/boot/ams1/p1/r1/u1.ipxe", "st-2").unwrap_err(), Reason::NotAllowed);
    assert_eq!(get(&view, "/boot/ams1/p1/r1/u1.ipxe", "ctl1").unwrap_err(), Reason::NotAllowed);
    // A BMC is not its machine: it is the part that an attacker reaches first.
    assert_eq!(get(&view, "/boot/ams1/p1/r1/u1.ipxe", "hv-u1-bmc").unwrap_err(), Reason::NotAllowed);
    assert_eq!(get(&view, "/boot/auto.ipxe", "hv-u1-bmc").unwrap_err(), Reason::NotAllowed);
    assert_eq!(get(&view, "/boot/ams1/p9/r9/u9.ipxe", "hv-u1").unwrap_err(), Reason::NotServed);
    let stranger: IpAddr = "203.0.113.9".parse().unwrap();
    for path in ["/boot/auto.ipxe", "/boot/ams1/p1/r1/u1.ipxe"] {
        let refusal = boot(&view, &request(Method::Get, path, stranger), NOW).unwrap_err();
        assert_eq!(refusal.reason, Reason::NotAllowed);
    }
}

#[test]
fn a_machine_without_image_boots_its_disk() {
    let reply = get(&zone::view(), "/boot/auto.ipxe", "plain-3").unwrap();
    assert!(reply.tells.is_none() && text(&reply).ends_with("exit 1\n"), "{}", text(&reply));
}

#[test]
fn an_image_without_its_files_is_waited_for() {
    let reply = get(&zone::view(), "/boot/auto.ipxe", "broken-4").unwrap();
    assert_eq!(reply.refused, Some(Reason::NotServed));
    assert!(text(&reply).contains("the server lacks image/lost/images/lost/vmlinuz"), "{}", text(&reply));
}

#[test]
fn a_machine_that_nobody_brought_to_its_installer_in_time_boots_what_is_on_its_disks() {
    let view = zone::view_with("ams1/p1/r1/u2", |machine| {
        let generation = Generation(7);
        machine.armed = Some(Armed {
            generation,
            until: NOW,
            since: Time(0),
            purpose: Purpose::Install,
            undo_until: None,
        });
        machine.installed = Some(Installed { image: None, slot: None, generation, at: Time(0) });
    });
    let reply = get(&view, "/boot/auto.ipxe", "st-2").unwrap();
    assert!(text(&reply).contains("boots its own disk"), "{}", text(&reply));
    assert_eq!((reply.refused, reply.tells), (None, None));
}

#[test]
fn an_installer_runs_only_while_it_is_armed_for_this_plan() {
    let armed = |generation, until| {
        zone::view_with("ams1/p1/r1/u2", |machine| {
            machine.armed = Some(Armed {
                generation: Generation(generation),
                until: Time(until),
                since: NOW,
                purpose: Purpose::Install,
                undo_until: None,
            });
        })
    };
    let reply = get(&armed(7, NOW.0 + 1), "/boot/auto.ipxe", "st-2").unwrap();
    assert!(reply.tells.is_some() && text(&reply).contains("/image/disk/"), "{}", text(&reply));
    for view in [armed(7, NOW.0), armed(6, NOW.0 + 1), armed(8, NOW.0 + 1), zone::view()] {
        let reply = get(&view, "/boot/auto.ipxe", "st-2").unwrap();
        assert_eq!((reply.refused, reply.tells.is_some()), (Some(Reason::NotArmed), false));
        assert!(text(&reply).contains("waits: ") && !text(&reply).contains("kernel"), "{}", text(&reply));
    }
}

#[test]
fn what_is_installed_boots_its_disk_again_and_is_never_installed_twice() {
    let script = |change: &dyn Fn(&mut Machine)| {
        let reply = get(&zone::view_with("ams1/p1/r1/u2", change), "/boot/auto.ipxe", "st-2").unwrap();
        assert!(!text(&reply).contains("kernel"));
        text(&reply).ends_with("exit 1\n")
    };
    let installed = Installed { image: None, slot: None, generation: Generation(7), at: NOW };
    // Whatever became of it since: what is on its disk is booted, and an allowance for the other slot wipes nothing.
    for state in [State::Expected, State::Ready, State::Failed { reasons: vec!["x".to_owned()] }] {
        assert!(script(&|machine| {
            machine.state = state.clone();
            machine.installed = Some(installed.clone());
            machine.armed = Some(Armed {
                generation: Generation(7),
                until: Time(NOW.0 + 1),
                since: NOW,
                purpose: Purpose::Upgrade,
                undo_until: None,
            });
        }));
        assert!(!script(&|machine| machine.state = state.clone()));
    }
    // An image that writes no disk may be booted again at any time.
    let reply = get(&zone::view_in("ams1/p1/r1/u1", State::Ready), "/boot/auto.ipxe", "hv-u1").unwrap();
    assert!(reply.tells.is_some());
}

#[test]
fn maintenance_waits_and_a_retired_machine_is_refused() {
    let state = State::Maintenance { reason: "fan ${x}".into(), by: "op".into() };
    let reply = get(&zone::view_in("ams1/p1/r1/u1", state), "/boot/auto.ipxe", "hv-u1").unwrap();
    assert!(text(&reply).contains("waits: in maintenance by op: fan ??x?\n"), "{}", text(&reply));
    let state = State::Retired { reason: "old".into(), by: "op".into() };
    let refusal = get(&zone::view_in("ams1/p1/r1/u1", state), "/boot/auto.ipxe", "hv-u1");
    assert_eq!(refusal.unwrap_err(), Reason::Retired);
}

#[test]
fn p10_a_file_is_sent_whole_with_its_length() {
    let view = zone::view();
    check(
        &get(&view, "/image/kvm/images/kvm/vmlinuz", "hv-u1").unwrap(),
        expect![[r#"
        200
        Content-Type: application/octet-stream
        Accept-Ranges: bytes
        ETag: "80808080808080808080808080808080"
        Content-Length: 8000000

        (octets 0..8000000 of file 2)
    "#]],
    );
    check(
        &get(&view, "/boot/loader/snponly.efi", "hv-u1").unwrap(),
        expect![[r#"
        200
        Content-Type: application/octet-stream
        Accept-Ranges: bytes
        ETag: "10101010101010101010101010101010"
        Content-Length: 1000000

        (octets 0..1000000 of file 1)
    "#]],
    );
    assert_eq!(get(&view, "/loader/snponly.efi", "hv-u1"), get(&view, "/boot/loader/snponly.efi", "hv-u1"));
}

#[test]
fn p10_head_tells_the_length_and_sends_nothing() {
    let view = zone::view();
    let client = zone::v4(&view.plan, "hv-u1").into();
    for path in ["/boot/auto.ipxe", "/image/kvm/images/kvm/vmlinuz", "/boot/loader/undionly.kpxe"] {
        let get = boot(&view, &request(Method::Get, path, client), NOW).unwrap();
        let head = boot(&view, &request(Method::Head, path, client), NOW).unwrap();
        assert_eq!(
            (head.status, &head.headers, &head.body),
            (get.status, &get.headers, &Body::Empty),
            "{path}"
        );
        assert!(header(&head, "content-length").is_some() && head.tells.is_none());
        // A range means nothing to HEAD (RFC 9110 §14.2).
        let ranged = Request { range: Some("bytes=0-9"), ..request(Method::Head, path, client) };
        assert_eq!(boot(&view, &ranged, NOW).unwrap().headers, get.headers);
    }
}

#[test]
fn p10_parts_of_a_file() {
    let view = zone::view();
    let client = zone::v4(&view.plan, "hv-u1").into();
    let path = "/boot/loader/undionly.kpxe";
    let whole = request(Method::Get, path, client);
    let etag = header(&boot(&view, &whole, NOW).unwrap(), "etag").unwrap();
    let ask = |range, if_range| {
        let reply = boot(&view, &Request { range: Some(range), if_range, ..whole }, NOW).unwrap();
        let length = header(&reply, "content-length").unwrap();
        let size = match &reply.body {
            Body::File { range, .. } => range.end - range.start,
            _ => 0,
        };
        assert_eq!(length, size.to_string());
        (reply.status, header(&reply, "content-range"), length)
    };
    let part = |status: u16, range: Option<&str>, length: &str| {
        (status, range.map(str::to_owned), length.to_owned())
    };
    assert_eq!(ask("bytes=0-99", None), part(206, Some("bytes 0-99/70000"), "100"));
    assert_eq!(ask("bytes=69990-", None), part(206, Some("bytes 69990-69999/70000"), "10"));
    assert_eq!(ask("bytes=-1", None), part(206, Some("bytes 69999-69999/70000"), "1"));
    assert_eq!(ask("bytes=70000-", None), part(416, Some("bytes */70000"), "0"));
    assert_eq!(ask("bytes=0-1,5-6", None), part(200, None, "70000"));
    assert_eq!(ask("bytes=0-99", Some(&etag)), part(206, Some("bytes 0-99/70000"), "100"));
    assert_eq!(ask("bytes=0-99", Some("\"other\"")), part(200, None, "70000"));
    assert_eq!(ask("bytes=0-99", Some("Sat, 21 Nov 2026 00:00:00 GMT")), part(200, None, "70000"));
}

#[test]
fn what_is_in_memory_is_sent_in_parts_too() {
    let view = zone::view();
    let client = zone::v4(&view.plan, "hv-u1").into();
    let sent = |method, range| {
        let asked = Request { range, ..request(method, "/key/x.iso", client) };
        let reply = octets(b"0123456789", &asked);
        let length = header(&reply, "content-length").unwrap();
        let body = match reply.body {
            Body::Octets(octets) => String::from_utf8(octets).unwrap(),
            Body::Empty => "-".to_owned(),
            other => panic!("{other:?}"),
        };
        format!("{} {length} {body}", reply.status)
    };
    assert_eq!(sent(Method::Get, None), "200 10 0123456789");
    assert_eq!(sent(Method::Head, None), "200 10 -");
    assert_eq!(sent(Method::Get, Some("bytes=2-4")), "206 3 234");
    assert_eq!(sent(Method::Get, Some("bytes=10-")), "416 0 -");
    assert_eq!(sent(Method::Post, None), "405 0 -");
    let whole = octets(b"0123456789", &request(Method::Get, "/key/x.iso", client));
    assert_eq!(header(&whole, "cache-control").as_deref(), Some("no-store"));
}

#[test]
fn a_file_that_was_not_read_yet_is_sent_without_a_tag() {
    let mut view = zone::view();
    let mut site = (*view.boot.site).clone();
    for file in &mut site.files {
        file.sha256 = None;
    }
    view.boot.site = std::sync::Arc::new(site);
    let client = zone::v4(&view.plan, "hv-u1").into();
    let whole = request(Method::Get, "/boot/loader/undionly.kpxe", client);
    let reply = boot(&view, &whole, NOW).unwrap();
    assert_eq!((reply.status, header(&reply, "etag")), (200, None));
    let status = |request: &Request<'_>| boot(&view, request, NOW).unwrap().status;
    assert_eq!(status(&Request { range: Some("bytes=0-9"), ..whole }), 206);
    assert_eq!(status(&Request { range: Some("bytes=0-9"), if_range: Some("\"a\""), ..whole }), 200);
    assert_eq!(status(&Request { if_none_match: Some("\"a\""), ..whole }), 200);
    assert_eq!(status(&Request { if_none_match: Some("*"), ..whole }), 304);
}

#[test]
fn p10_a_client_that_has_the_file_is_told_so() {
    let view = zone::view();
    let client = zone::v4(&view.plan, "hv-u1").into();
    let whole = request(Method::Get, "/boot/loader/undionly.kpxe", client);
    let etag = header(&boot(&view, &whole, NOW).unwrap(), "etag").unwrap();
    for (sent, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        (format!("\"a\", {etag}"), 304),
        ("*".to_owned(), 304),
        ("\"a\"".to_owned(), 200),
    ] {
        let reply = boot(&view, &Request { if_none_match: Some(&sent), ..whole }, NOW).unwrap();
        assert_eq!(reply.status, status, "{sent}");
    }
}

#[test]
fn no_path_leads_out_of_the_view() {
    let view = zone::view();
    for path in [
        "/",
        "",
        "boot/auto.ipxe",
        "/boot/",
        "/boot/.ipxe",
        "/boot/loader/",
        "/boot/loader/../loader/undionly.kpxe",
        "/boot/loader/%2e%2e/undionly.kpxe",
        "/boot/loader/..%2fundionly.kpxe",
        "/image/../../etc/passwd",
        "//etc/passwd",
        "/nowhere/loader/undionly.kpxe",
        "/image/kvm/images/kvm/vmlinuz/",
        "/image/kvm/images/kvm/vmlinuz%00",
        "/boot/loader/%",
        "/boot/loader/%zz",
        "/boot/loader/%ff",
        &format!("/{}", "a".repeat(5000)),
    ] {
        let reason = get(&view, path, "hv-u1").unwrap_err();
        assert!(matches!(reason, Reason::NotServed | Reason::Malformed), "{path}");
    }
    // One slash or several: shim writes two.
    assert!(get(&view, "//boot/loader//undionly.kpxe", "hv-u1").is_ok());
    // Once decoded, a percent sign is a letter like any other.
    assert!(get(&view, "/boot/loader/%75ndionly.kpxe?x=y", "hv-u1").is_ok());
    assert!(get(&view, "/boot/loader/%2575ndionly.kpxe", "hv-u1").is_err());
}

#[test]
fn refusals_are_told_with_a_status_and_a_length() {
    for (reason, status) in [
        (Reason::Malformed, 400),
        (Reason::NotServed, 404),
        (Reason::NotAllowed, 403),
        (Reason::Retired, 403),
        (Reason::TooMany, 503),
    ] {
        let reply = refused(reason.into());
        assert_eq!((reply.status, reply.refused), (status, Some(reason)));
        assert_eq!(header(&reply, "content-length").unwrap(), text(&reply).len().to_string());
        assert_eq!(header(&reply, "retry-after").is_some(), status == 503);
    }
    let view = zone::view();
    let client = zone::v4(&view.plan, "hv-u1").into();
    let reply = boot(&view, &request(Method::Other, "/boot/auto.ipxe", client), NOW).unwrap();
    assert_eq!((reply.status, header(&reply, "allow").as_deref()), (405, Some("GET, HEAD")));
}

#[test]
fn a_template_is_rendered_for_the_machine_that_asks() {
    let armed = zone::view_with("ams1/p1/r1/u2", |machine| {
        let (generation, until) = (Generation(7), Time(NOW.0 + 1));
        machine.armed =
            Some(Armed { generation, until, since: NOW, purpose: Purpose::Install, undo_until: None });
    });
    let reply = get(&armed, "/boot/template/meta-data", "st-2").unwrap();
    assert_eq!((reply.status, reply.refused, &reply.tells), (200, None, &None));
    assert_eq!(text(&reply), "instance-id: \"ams1/p1/r1/u2#7\"\nlocal-hostname: \"st-2\"\n");
    // Not its image's, nobody's machine, not allowed to be written.
    assert_eq!(get(&armed, "/boot/template/ks.cfg", "st-2"), Err(Reason::NotServed));
    assert_eq!(get(&armed, "/boot/template/meta-data", "hv-u1"), Err(Reason::NotServed));
    assert_eq!(get(&zone::view(), "/boot/template/meta-data", "st-2"), Err(Reason::NotArmed));
    let stranger =
        boot(&armed, &request(Method::Get, "/boot/template/meta-data", "198.51.100.9".parse().unwrap()), NOW);
    assert_eq!(stranger.map_err(|refusal| refusal.reason), Err(Reason::NotAllowed));
    // A system that is installed so gets the agent that this controller has, and no other octets.
    let reply = get(&armed, "/boot/template/agent.sh", "st-2").unwrap();
    let script = text(&reply);
    assert!(script.contains("/agent/zw-agent\n"), "{script}");
    assert!(script.contains(&format!("= {}\n", "d7".repeat(32))), "{script}");
    let agent = get(&armed, "/agent/zw-agent", "st-2").unwrap();
    assert_eq!((agent.status, header(&agent, "content-length").as_deref()), (200, Some("9000")));
    // What cannot be rendered is our failure and says so: not found would let an installer go on without.
    let reply = get(&armed, "/boot/template/broken", "st-2").unwrap();
    assert_eq!((reply.status, reply.refused), (500, Some(Reason::BadTemplate)));
    assert_eq!(text(&reply), "zonewright: broken.j2:2: undefined value\n");
}

#[test]
fn an_installer_says_that_it_is_done_once_it_was_allowed() {
    use model::event::What;
    let armed = zone::view_with("ams1/p1/r1/u2", |machine| {
        let (generation, until) = (Generation(7), Time(NOW.0));
        machine.armed =
            Some(Armed { generation, until, since: NOW, purpose: Purpose::Install, undo_until: None });
    });
    let own = zone::v4(&armed.plan, "st-2").into();
    let done = |view: &View, method, client| {
        boot(view, &request(method, "/boot/installed", client), NOW).map_err(|refusal| refusal.reason)
    };
    for method in [Method::Get, Method::Post] {
        let reply = done(&armed, method, own).unwrap();
        let tells = What::Installed { generation: Generation(7), image: None, slot: None };
        assert_eq!((reply.status, reply.tells), (200, Some(tells)));
    }
    assert_eq!(done(&armed, Method::Head, own).map(|reply| reply.tells), Err(Reason::NotServed));
    assert_eq!(done(&zone::view(), Method::Get, own), Err(Reason::NotArmed));
    assert_eq!(done(&armed, Method::Post, zone::v4(&armed.plan, "hv-u1").into()), Err(Reason::NotArmed));
    assert_eq!(done(&armed, Method::Post, "198.51.100.9".parse().unwrap()), Err(Reason::NotAllowed));
    let post = boot(&armed, &request(Method::Post, "/boot/auto.ipxe", own), NOW).unwrap();
    assert_eq!((post.status, post.tells), (405, None));
}
