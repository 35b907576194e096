//! Known keys are those that a reader asks for; others get advice.

use super::super::keys::{HABITS, SECTION_HABITS, SECTIONS, header, section_advice};
use super::*;

#[test]
fn advice_names_the_nearest_or_the_section() {
    let known = known();
    for (section, name, advice) in [
        ("limits", "handshake_timout", r#"did you mean "handshake_timeout"?"#),
        ("server", "Trusted-Proxies", r#"did you mean "trusted_proxies"?"#),
        ("upstream", "listen", "it belongs to [server]"),
        ("server", "idle_timeot", r#"did you mean "idle_timeout" of [limits]?"#),
        ("tls", "clients", "did you mean [tls.client]?"),
        (
            "log",
            "colour",
            "[log] has level, format, access, access_format, audit, audit_required, audit_uploads",
        ),
        ("policy", "users", "it belongs to [[access]]"),
        ("auth", "access", "[[access]] is a separate section"),
        ("access", "weight", "[[access]] has users, repositories, actions"),
        ("upstream", "server", r#"did you mean "servers"?"#),
        ("upstream", "url", r#"did you mean "servers"?"#),
        ("admin", "listen", r#"did you mean "admin" of [server]?"#),
        ("metrics", "allow", r#"did you mean "allow" of [admin]?"#),
        (
            "log",
            "uri",
            "[log] has level, format, access, access_format, audit, audit_required, audit_uploads",
        ),
    ] {
        assert_eq!(known.advice(section, name), advice);
    }
    assert_eq!(section_advice("sever"), "did you mean [server]?");
    assert_eq!(section_advice("user-agents"), "did you mean [user_agents]?");
    assert_eq!(section_advice("acces"), "did you mean [[access]]?");
    assert_eq!(section_advice("throttle"), "did you mean [auth.throttle]?");
    assert!(section_advice("storage").starts_with("the sections are [server], [limits]"));
}

#[test]
fn every_habit_leads_to_a_key() {
    let known = known();
    for (section, _, name) in HABITS {
        let (section, name) = name.split_once('.').unwrap_or((section, name));
        assert!(known.0.iter().any(|key| key.section == section && key.name == name), "{section}.{name}");
    }
    for (habit, section) in SECTION_HABITS {
        assert_eq!(section_advice(habit), format!("did you mean {}?", header(section)));
        assert!(SECTIONS.contains(&section) && !SECTIONS.contains(&habit), "{habit}");
    }
}

#[test]
fn every_section_has_a_reader_and_every_reader_a_section() {
    let mut read: Vec<&str> = known().0.iter().map(|key| key.section).collect();
    read.dedup();
    read.sort_unstable();
    let mut expected: Vec<&str> = SECTIONS.iter().copied().filter(|section| *section != "groups").collect();
    expected.push("tls.certificates");
    expected.sort_unstable();
    read.dedup();
    assert_eq!(read, expected);
}

#[test]
fn the_same_keys_are_known_whatever_is_written() {
    let names = |text: &str| {
        let keys = Config::read(Path::new("proxy.toml"), text, &[]).1.keys.0;
        let mut names: Vec<_> = keys.into_iter().map(|key| (key.section, key.name)).collect();
        names.sort_unstable();
        names
    };
    let acme = "[acme]\nnames = ['a.example']\n";
    for text in [PAIR, EVERYTHING, acme, "server = 1\naccess = 2\n", "[tls]\ncertificates = 3\n", "= ="] {
        assert_eq!(names(text), names(""), "{text}");
    }
}

#[test]
fn a_section_that_is_not_a_table_still_lends_its_keys_to_advice() {
    let problems = problems(&format!("server = 1\n{PAIR}[limits]\nlisten = []\n"));
    assert!(
        problems[1].ends_with("unknown key \"listen\" in [limits]; it belongs to [server]"),
        "{problems:?}"
    );
}
