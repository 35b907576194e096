//! Replays the inputs of `fuzz/corpus`, one folder for each function.

use std::fs;
use std::panic;
use std::path::Path;

use super::TARGETS;
use super::door::Door;

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

#[test]
fn the_door_lets_the_user_in_and_nobody_else() {
    let door = Door::open().unwrap();
    let passed = |input: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/whole_gate").join(input);
        door.send(&fs::read(path).unwrap()).unwrap().seen.len()
    };
    assert_eq!([passed("ping"), passed("wrong"), passed("other"), passed("dots")], [0; 4]);
    assert_eq!([passed("ping-known"), passed("two"), passed("patch-chunked")], [1, 2, 2]);
}
