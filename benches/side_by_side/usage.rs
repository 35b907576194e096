//! Resources that a process and its descendants have used, from the kernel's accounting.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::failure::Outcome;
use crate::process::Process;

/// User and system time so far. Read from `schedstat`, which counts nanoseconds; `stat` counts
/// ticks of 10 ms. Threads that ended are not counted, but none of the proxies ends one while it
/// serves.
pub fn cpu(process: &Process) -> Outcome<Duration> {
    let mut nanoseconds = 0;
    for pid in process.tree() {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanoseconds += line.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Bytes of memory; each shared page is counted in part (PSS).
pub fn memory(process: &Process) -> Outcome<u64> {
    sum(process, "smaps_rollup", "Pss:").map(|kibibytes| kibibytes * 1024)
}

/// Bytes that it caused to be written to disk, including those not written yet.
pub fn disk(process: &Process) -> Outcome<u64> {
    sum(process, "io", "write_bytes:")
}

fn sum(process: &Process, file: &str, field: &str) -> Outcome<u64> {
    let mut total = 0;
    for pid in process.tree() {
        let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(file))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field));
        let value = value.and_then(|value| value.split_whitespace().next());
        total += value.ok_or_else(|| format!("/proc/{pid}/{file} has no {field}"))?.parse::<u64>()?;
    }
    Ok(total)
}
