//! Replays the inputs of `fuzz/corpus`, one folder for each function.

use std::fs;
use std::panic;
use std::path::Path;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 10] = [
    ("challenges", super::challenges),
    ("credentials", super::credentials),
    ("forwarded_fields", super::forwarded_fields),
    ("htpasswd", super::htpasswd),
    ("locations", super::locations),
    ("repository_patterns", super::repository_patterns),
    ("request_targets", super::request_targets),
    ("settings", super::settings),
    ("token_requests", super::token_requests),
    ("upload_places", super::upload_places),
];

#[test]
fn every_promise_holds_for_the_collected_inputs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let inputs: Vec<_> =
            fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let outcome = panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{}", input.display());
        }
    }
}
