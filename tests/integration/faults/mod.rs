//! What clients see of a registry's faults: with one server, and with a sound one beside it.

mod catalogue;
mod client;
mod script;
mod server;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use catalogue::{Beside, Fault};
use client::{ask_over_http1, ask_over_http2};
use server::Playing;
use verdict::{Seen, Verdict};

use crate::harness::http1::Client;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
/// Long enough for any busy machine, short enough for some faults one after another.
const IMPATIENT: &str = r#""1500ms""#;

/// A fault and a client protocol with its verdict.
type Case<'a> = (&'a Fault, Verdict, u8, String);

/// Asks through `case` while the fault plays.
fn ask(playing: &Playing, tidegate: &Tidegate, (fault, _, version, agent): &Case<'_>) -> Seen {
    let has_head = || playing.stage.tell_client_has_head();
    match version {
        1 => ask_over_http1(tidegate, fault.ask, agent, has_head),
        _ => ask_over_http2(tidegate, fault.ask, agent, has_head),
    }
}

fn cases(fault: &Fault) -> [Case<'_>; 2] {
    let agent = |version| format!("{}/{version}", fault.name.replace([' ', ',', '/', '.'], "-"));
    [(fault, fault.http1, 1, agent(1)), (fault, fault.http2, 2, agent(2))]
}

fn settings(fault: &Fault, settings: Settings) -> Settings {
    let settings = settings.set("upstream.connect_timeout", IMPATIENT);
    if fault.is_impatient { settings.set("upstream.read_timeout", IMPATIENT) } else { settings }
}

/// Panics unless the next requests get the sound answer, by a client that has seen the fault or
/// not.
fn assert_next_are_clean(tidegate: &Tidegate, name: &str, servers: &[&str]) {
    let mut client = Client::connect(tidegate);
    for _ in 0..3 {
        let response = client.exchange("GET /v2/", &[AUTH]);
        let is_sound = servers.iter().any(|server| response.text() == *server);
        assert!(response.status == 200 && is_sound && response.complete, "after {name}: {response:?}");
    }
}

/// Tries all faults, a few at once, and panics with the names of those that failed.
fn try_all(attempt: impl Fn(&Fault) + Sync) {
    const AT_ONCE: usize = 4;
    let faults = Mutex::new(catalogue::all());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = { faults.lock().unwrap().pop() } {
                    if catch_unwind(AssertUnwindSafe(|| attempt(&fault))).is_err() {
                        failed.lock().unwrap().push(fault.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} faults failed: {failed:#?}", failed.len());
}

#[test]
fn each_fault_of_the_only_registry_has_its_verdict() {
    try_all(|fault| {
        let playing = Playing::start(fault.server);
        let tidegate = Tidegate::start(settings(fault, playing.settings(None)));
        for case in cases(fault) {
            let before = (playing.stage.plays(), playing.stage.requests());
            playing.stage.begin();
            let seen = ask(&playing, &tidegate, &case);
            playing.stage.end();
            let (_, verdict, _, agent) = &case;
            verdict.judge(agent, fault.ask, &seen);
            verdict.assert_logged(agent, &tidegate, agent, fault.reason);
            assert!(playing.stage.plays() <= before.0 + 1, "{agent}: the registry was asked twice");
            assert!(playing.stage.requests() <= before.1 + 1, "{agent}: the request was sent twice");
            if playing.can_be_sound() {
                assert_next_are_clean(&tidegate, agent, &["faulty"]);
            }
        }
    });
}

#[test]
fn each_fault_of_one_of_two_registries_has_its_verdict() {
    /// Requests until each of two servers has had one, with some to spare.
    const TURNS: usize = 8;
    try_all(|fault| {
        let playing = Playing::start(fault.server);
        let (sound, sound_requests) = server::sound();
        let tidegate = Tidegate::start(settings(fault, playing.settings(Some(&sound))));
        for case in cases(fault) {
            let (_, verdict, _, agent) = &case;
            let plays = playing.stage.plays();
            let before = playing.stage.requests() + sound_requests.requests();
            let mut asked = 0;
            let mut met = false;
            playing.stage.begin();
            while asked < TURNS && !met {
                let seen = ask(&playing, &tidegate, &case);
                asked += 1;
                met = playing.stage.plays() > plays;
                match fault.beside_a_sound_one {
                    _ if !met => assert!(seen.is_sound("sound"), "{agent}: {seen:?}"),
                    Beside::MovesOn => assert!(seen.is_sound("sound"), "{agent}: {seen:?}"),
                    Beside::Either if seen.is_sound("sound") => {}
                    Beside::Either | Beside::Same => verdict.judge(agent, fault.ask, &seen),
                }
            }
            playing.stage.end();
            assert!(met || fault.beside_a_sound_one != Beside::Same, "{agent}: it never had a request");
            assert!(playing.stage.plays() <= plays + 1, "{agent}: the registry was asked twice");
            let sent = playing.stage.requests() + sound_requests.requests() - before;
            assert!(sent <= asked, "{agent}: {asked} requests were sent {sent} times");
            assert_next_are_clean(&tidegate, agent, &["faulty", "sound"]);
        }
    });
}
