//! The audit log.

use super::*;

#[test]
fn an_audit_log_is_a_file_of_its_own() {
    let audit = |value: &str| parse(&format!("{PAIR}[log]\naudit = {value}\n")).unwrap().log.audit;
    assert_eq!(audit("''"), None);
    assert_eq!(audit("'off'"), None);
    assert_eq!(audit("'./off'"), Some("off".into()));
    assert_eq!(audit("'/var/log/tidegate/audit.log'"), Some("/var/log/tidegate/audit.log".into()));
    for (lines, message) in [
        (
            "audit = 'stdout'",
            r#"5:9: log.audit: found "stdout" (other logs go there); write the path of a file, or "" for none"#,
        ),
        (
            "access = 'a.log'\naudit = './a.log'",
            "6:9: log.audit and log.access name the same file; write two names",
        ),
        ("audit_required = true", "5:18: log.audit_required needs an audit log; name a file in log.audit"),
    ] {
        let problems = parse(&format!("{PAIR}[log]\n{lines}\n")).unwrap_err();
        assert_eq!(problems.to_string(), format!("proxy.toml:{message}"));
    }
}
