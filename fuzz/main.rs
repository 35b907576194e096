//! Runs the target that `--target=NAME` chooses. libFuzzer ignores options with two dashes.

#![no_main]

use std::env;
use std::sync::LazyLock;

use tidegate::fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::args().find_map(|argument| argument.strip_prefix("--target=").map(str::to_owned));
    let found = TARGETS.into_iter().find(|(known, _)| Some(*known) == name.as_deref());
    found.expect("--target=NAME has to name a file of src/fuzz").1
});

libfuzzer_sys::fuzz_target!(init: LazyLock::force(&TARGET), |bytes: &[u8]| TARGET(bytes));
