use serde_json::{Value, json};

use super::*;
use crate::cli::top::line::Look;

const TERMINAL: Size = Size { width: 80, height: 24, blocks: false };

fn sample() -> Value {
    let pull = |id: &str, repository: &str, bytes: f64, rate: Value, age: f64| {
        json!({"id": id, "direction": "pull", "operation": "blob-get", "repository": repository, "user": "alice",
            "client": "192.0.2.1", "bytes": bytes, "size": 4e9, "rate": rate, "age": age})
    };
    let mut chart = vec![0; 300];
    chart.extend((0..60).map(|slot| slot * 10_000_000_u64));
    json!({
        "time": "2026-11-29T15:00:00.000Z", "uptime": 285_000.4, "version": "0.2.0", "node": "door-1",
        "ready": true, "draining": false, "checks": {"upstream": "ok", "certificate": "ok", "draining": false},
        "connections": {"open": 12, "limit": 10000},
        "requests": {"running": 3, "total": 1234, "client_errors": 20, "server_errors": 1, "refused": 7},
        "bytes": {"received": 41_200_000_000_u64, "sent": 912_000_000_000_u64},
        "passwords": {"queue": 0, "queue_limit": 64}, "lost_lines": {"access": 0, "audit": 0},
        "transfers": [
            pull("1", "platform/postgres", 1.24e9, json!(47.2e6), 26.0),
            pull("2", "team/app", 3.96e9, json!(null), 40.0),
            {"id": "3", "direction": "push", "repository": "ml/training/cuda-12.8-runtime-of-some-length",
                "user": null, "client": "2001:db8::1", "bytes": 637_000_000, "size": null, "rate": 28.6e6, "age": 81.0},
        ],
        "transfers_total": 3,
        "chart": {"interval": 10, "received": vec![0; 360], "sent": chart},
        "upstreams": [{"name": "http://127.0.0.1:5000", "up": true, "active": 1, "idle": 2, "error": null}],
        "certificates": [{"names": ["registry.example.com"], "days": 33.2}],
        "refusals": [{"time": "2026-11-29T14:59:46.000Z", "client": "192.0.2.1", "user": "bob", "method": "PUT",
            "repository": "team/app", "status": 403, "reason": "this user may not do this"}],
        "settings": {"file": "proxy.toml", "last_reload": null},
    })
}

fn shown(status: &Value, size: Size) -> Vec<String> {
    let speed = Speed { sent: Some(52.3e6), received: Some(11.4e6) };
    let view = View { status, speed, chart: &status["chart"], lost: None };
    frame(&view, size).iter().map(|line| line.render(size.width, Look::Text)).collect()
}

#[test]
fn a_narrow_terminal_cuts_no_percentage() {
    for width in 40..=110 {
        let lines = shown(&sample(), Size { width, ..TERMINAL });
        for percentage in [" 31 %", " 99 %"] {
            assert!(lines.iter().any(|line| line.contains(percentage)), "{width}: {lines:#?}");
        }
    }
}

#[test]
fn a_terminal_of_80_by_24_shows_everything() {
    let expected = "
tidegate door-1  version 0.2.0, up 3 d 7 h                                 READY
sending   52.3 MB/s   receiving 11.4 MB/s   connections 12/10000    logins 0/64
sent      912 GB      received  41.2 GB     requests    1234        refused 7
registry  http://127.0.0.1:5000 up   certificate registry.example.com 33 days
last hour                                              ..:-=+*## max 59.0 MB/s
                                                                 max 0 B/s

     REPOSITORY               USER            BYTES       RATE PROGRESS
pull platform/postgres        alice         1.24 GB  47.2 MB/s ###.......  31 %
pull team/app                 alice         3.96 GB  99.0 MB/s #########.  99 %
push ml/training/cuda-12.8... anonymous      637 MB  28.6 MB/s 1 min 21 s

    REFUSED      USER         REQUEST                  REASON
       14 s 403  bob          PUT team/app             this user may not do this
";
    assert_eq!(shown(&sample(), TERMINAL).join("\n"), expected.trim_matches('\n'));
}

#[test]
fn every_size_holds_what_fits() {
    let mut status = sample();
    let one = status["transfers"][0].clone();
    status["transfers"] = Value::Array(vec![one; 200]);
    status["transfers_total"] = json!(230);
    let refusal = status["refusals"][0].clone();
    status["refusals"] = Value::Array(vec![refusal; 50]);
    for (width, height) in [(80, 24), (40, 12), (20, 5), (1, 1), (200, 60), (80, 3), (59, 19), (0, 0)] {
        let lines = shown(&status, Size { width, height, blocks: true });
        assert!(lines.len() <= height, "{width}x{height}: {} lines", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}x{height}: {lines:#?}");
    }
    let lines = shown(&status, TERMINAL);
    assert_eq!(lines.len(), 23, "the last line is for the keys");
    assert!(lines.contains(&"and 221 more".to_owned()), "{lines:#?}");
    let all = shown(&status, Size { height: usize::MAX, ..TERMINAL });
    assert_eq!(all.iter().filter(|line| line.starts_with("pull platform")).count(), 200);
    assert!(all.contains(&"and 30 more".to_owned()));
    assert_eq!(all.iter().filter(|line| line.contains(" 403 ")).count(), 50);
}

#[test]
fn names_cannot_act_on_the_terminal() {
    let mut status = sample();
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\r\n\u{9b}1m".repeat(20);
    status["transfers"][0]["repository"] = json!(hostile);
    for at in ["node", "version"] {
        status[at] = json!(hostile);
    }
    status["refusals"][0]["reason"] = json!(hostile);
    status["refusals"][0]["user"] = json!(hostile);
    status["upstreams"][0]["name"] = json!(hostile);
    status["certificates"][0]["names"][0] = json!(hostile);
    status["ready"] = json!(false);
    status["checks"] = json!({hostile.as_str(): hostile});
    status["settings"]["last_reload"] = json!({"ok": false, "error": hostile});
    for width in [80, 1000] {
        let lines = shown(&status, Size { width, ..TERMINAL });
        assert!(
            lines.iter().flat_map(|line| line.chars()).all(|shown| matches!(shown, ' '..='~')),
            "{lines:#?}"
        );
    }
}

#[test]
fn facts_that_are_missing_or_of_another_type_leave_a_gap() {
    for status in [
        json!(null),
        json!([]),
        json!({"transfers": 7, "bytes": "many", "ready": "maybe", "refusals": [1, null]}),
    ] {
        assert!(shown(&status, TERMINAL)[0].starts_with("tidegate"));
    }
    let status = json!({"transfers": [null, {"bytes": -1, "size": 0, "age": 0}, {"bytes": 9, "size": 5, "rate": "x"}]});
    let lines = shown(&status, TERMINAL);
    assert!(!lines.iter().any(|line| line.contains('%')), "{lines:#?}");
}

#[test]
fn what_needs_attention_is_said() {
    let mut status = sample();
    status["draining"] = json!(true);
    status["lost_lines"] = json!({"access": 0, "audit": 2});
    status["passwords"] = json!({"queue": 60, "queue_limit": 64});
    status["certificates"][0]["days"] = json!(2.9);
    let text = shown(&status, TERMINAL).join("\n");
    for said in
        ["DRAINING", "the audit log has lost 2 lines", "logins have to wait", "registry.example.com 2 days"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("not ready"), "{text}");
    status["draining"] = json!(false);
    status["ready"] = json!(false);
    status["checks"]["upstream"] = json!("the connection is refused");
    let text = shown(&status, TERMINAL).join("\n");
    assert!(
        text.contains("NOT READY") && text.contains("not ready: upstream: the connection is refused"),
        "{text}"
    );
}
