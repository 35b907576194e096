//! The page with any status, from a stand-in for tidegate. It sends no content security policy, so
//! markup that gets into the page would act.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::{Value, json};

use super::look;
use crate::harness::browser::Browser;
use crate::harness::fake::Fake;
use crate::harness::image::sha256;

const PAGE: &str = include_str!("../../../src/server/admin/page.html");

const HOSTILE: &str = "<img src=x onerror=\"owned = 1\"><script>owned = 1</script>\u{202e}\u{1b}[2J";

/// Sends the page, and one status again and again, as tidegate does each second.
fn stand_in(status: &Value) -> Fake {
    let status = status.clone();
    Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("GET /api/events ") {
                // Without a length, an answer lasts as long as the connection.
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                let mut goes_on = conversation.write(head);
                for second in 0.. {
                    if !goes_on {
                        break;
                    }
                    goes_on = conversation.write(format!("data: {}\n\n", after(&status, second)).as_bytes());
                    std::thread::sleep(Duration::from_secs(1));
                }
                return;
            }
            let body = if head[0].starts_with("GET / ") { PAGE } else { "" };
            let length = body.len();
            conversation.write(
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{body}")
                    .as_bytes(),
            );
        }
    })
}

/// The status some seconds later, if it has what moves.
fn after(status: &Value, seconds: u64) -> Value {
    let mut status = status.clone();
    for (key, speed) in [("sent", 52_300_000), ("received", 11_400_000)] {
        if let Some(bytes) = status.pointer_mut(&format!("/bytes/{key}")).filter(|bytes| bytes.is_u64()) {
            *bytes = json!(bytes.as_u64().unwrap() + speed * seconds);
        }
    }
    if status["time"].is_string() {
        status["time"] = json!(format!("2026-11-29T15:{:02}:{:02}.000Z", seconds / 60, seconds % 60));
    }
    status
}

fn transfer(index: u32) -> Value {
    let repositories =
        ["team-a/app", "platform/postgres", "ml/training/cuda-runtime", "public/alpine", "web/frontend"];
    let users = [json!("alice"), json!("ci-runner"), json!(null), json!("bob")];
    let (push, step) = (index % 3 == 2, f64::from(index % 7));
    json!({
        "id": format!("{index:x}"), "direction": if push { "push" } else { "pull" },
        "operation": if push { "upload-chunk" } else { "blob-get" },
        "repository": repositories[index as usize % 5], "user": users[index as usize % 4],
        "reference": format!("sha256:{}", sha256(&index.to_le_bytes())),
        "client": format!("192.0.2.{}", index % 250), "user_agent": "docker/28.3.2",
        "bytes": 137e6 + 211e6 * step, "size": if push { Value::Null } else { json!(1.43e9) },
        "rate": 18.4e6 + 5.1e6 * step, "age": 71.0 - 9.0 * step,
    })
}

/// A door on a usual day, with so many transfers.
fn usual(transfers: u32) -> Value {
    let wave =
        |slot: u32, length: f64, shift: f64| (TAU * f64::from(slot) / length + shift).sin().max(-0.2) + 0.2;
    let slots = |most: f64, length: f64, shift: f64| -> Vec<u64> {
        let noise = |slot: u32| f64::from(slot * slot * 7919 % 1009) / 2500.0 + 0.7;
        (0..360).map(|slot| (most * wave(slot, length, shift) * noise(slot)) as u64).collect()
    };
    let reasons = [(403, "this user may not do this", "bob"), (401, "the password is wrong", "ci-runner")];
    json!({
        "time": "2026-11-29T15:00:00.000Z", "started": "2026-11-26T08:00:00.000Z", "uptime": 284_400.0,
        "version": "0.2.0", "revision": "unknown", "node": "door-1", "ready": true, "draining": false,
        "checks": {"upstream": "ok", "certificate": "ok", "draining": false},
        "connections": {"open": 12 + transfers, "limit": 10000},
        "requests": {"running": transfers, "total": 182_734, "client_errors": 1204, "server_errors": 3, "refused": 97},
        "bytes": {"received": 41_203_112_000_u64, "sent": 912_384_001_000_u64},
        "passwords": {"queue": 0, "queue_limit": 64}, "lost_lines": {"access": 0, "audit": 0},
        "transfers": (0..transfers.min(200)).map(transfer).collect::<Vec<_>>(), "transfers_total": transfers,
        "chart": {"interval": 10, "sent": slots(620e6, 150.0, 0.4), "received": slots(190e6, 110.0, 2.0),
            "requests": vec![40; 360]},
        "upstreams": [{"name": "http://127.0.0.1:5000", "up": true, "active": transfers, "idle": 2, "error": null}],
        "certificates": [{"names": ["registry.example.com"], "not_after": "2027-01-01T00:00:00Z", "days": 33.2,
            "temporary": false, "renewed_by": "acme"}],
        "acme": {"last_attempt_successful": true, "next_attempt": "2026-12-02T03:00:00Z"},
        "refusals": reasons.map(|(status, reason, user)| json!({"time": "2026-11-29T14:59:46.000Z", "client": "192.0.2.7",
            "user": user, "method": "PUT", "repository": "team-a/app", "operation": "manifest-put", "status": status,
            "kind": "rule", "reason": reason, "user_agent": "docker/28.3.2 go/go1.24.5 os/linux arch/amd64"})),
        "settings": {"file": "/etc/tidegate/proxy.toml", "last_reload": null, "loaded": "2026-11-26T08:00:00Z",
            "warnings": []},
    })
}

fn shown(browser: &mut Browser, status: &Value) -> (Fake, String) {
    let fake = stand_in(status);
    browser.open(&format!("{}/", fake.url()));
    browser.wait_for("document.getElementById('state').textContent !== 'Connecting'");
    let text = browser.value("document.body.innerText").as_str().unwrap().replace('\u{a0}', " ");
    (fake, text)
}

#[test]
fn the_page_is_sensible_with_any_number_of_transfers() {
    let mut browser = Browser::start();
    for (transfers, rows, said) in [
        (0, 0, "The water is calm"),
        (1, 1, "1 pull"),
        (6, 6, "4 pulls · 2 pushes"),
        (230, 20, "the longest 200 of 230"),
    ] {
        browser.view(1280, "light");
        let (_fake, text) = shown(&mut browser, &usual(transfers));
        assert!(text.contains(said) && text.contains("33 days") && text.contains("912 GB"), "{text}");
        assert_eq!(browser.value("document.querySelectorAll('.transfer').length"), rows);
        let pulls = browser.value("document.querySelectorAll('.pull').length");
        let percents = browser.value(
            "[...document.querySelectorAll('.big')].filter(big => big.textContent.includes('%')).length",
        );
        assert_eq!(percents, pulls, "only what has a size has a per cent");
        browser.wait_for("document.getElementById('sending').textContent === '52.3\u{a0}MB/s'");
        look(&mut browser, &format!("usual-{transfers}"));
    }
    browser.value("document.getElementById('more').click()");
    browser.wait_for("document.querySelectorAll('.transfer').length === 200");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[test]
fn whatever_a_status_holds_is_text() {
    let mut browser = Browser::start();
    let mut status = usual(4);
    let long = "very-long-name/".repeat(13) + "leaf";
    for (row, name) in [HOSTILE, &long].into_iter().enumerate() {
        for key in ["repository", "user", "reference", "client", "user_agent", "operation"] {
            status["transfers"][row][key] = json!(name);
        }
        for key in ["repository", "user", "client", "user_agent", "reason", "method"] {
            status["refusals"][row][key] = json!(name);
        }
    }
    for at in [
        "/node",
        "/version",
        "/revision",
        "/upstreams/0/name",
        "/upstreams/0/error",
        "/certificates/0/names/0",
        "/settings/file",
        "/checks/upstream",
    ] {
        *status.pointer_mut(at).unwrap() = json!(HOSTILE);
    }
    status["ready"] = json!(false);
    status["settings"]["last_reload"] =
        json!({"ok": false, "cause": HOSTILE, "error": HOSTILE, "time": HOSTILE});
    status["settings"]["warnings"] = json!([HOSTILE, 7, null]);
    let (_fake, text) = shown(&mut browser, &status);
    assert!(
        text.contains("<img src=x onerror=\"owned = 1\"><script>owned = 1</script>\\u{202e}\\u{1b}[2J"),
        "{text}"
    );
    assert!(text.contains("Not ready") && text.contains("The last reload failed."), "{text}");
    assert_eq!(browser.value("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.value("typeof owned"), "undefined");
    look(&mut browser, "hostile");

    // What is missing, of another type, or new.
    for status in [
        json!({}),
        json!(null),
        json!({"transfers": [null, 1, {}, {"bytes": null, "size": 5}], "chart": {"sent": "x"}, "refusals": {}, "new": 1}),
        json!({"transfers": null, "chart": null, "bytes": null, "settings": null, "checks": null, "certificates": [{}],
            "upstreams": [{}], "requests": 5, "connections": [], "refusals": [{}], "acme": null, "time": 7}),
    ] {
        let (_fake, text) = shown(&mut browser, &status);
        assert!(
            text.contains("Connected") && !text.contains('%') && !text.contains("NaN"),
            "{status}: {text}"
        );
        assert!(!text.contains("undefined") && !text.contains("[object"), "{status}: {text}");
    }
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}
