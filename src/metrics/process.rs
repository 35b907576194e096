//! The usual metrics of a process, read from `/proc/self` at each scrape.

use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Exposes `process_*`. The start is taken from the clock, because systemd's `ProcSubset=pid` hides
/// `/proc/stat`.
#[derive(Debug)]
pub(crate) struct Process {
    started: SystemTime,
}

impl Process {
    pub(crate) fn new(started: SystemTime) -> Self {
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let cpu = ConstCounter::new(cpu_seconds());
        let help = "CPU time of the process in user and kernel mode";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;

        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| number_after(&status, name).unwrap_or(0);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", (field("VmRSS:") * 1024) as f64),
            ("process_threads", "Threads", field("Threads:") as f64),
            ("process_open_fds", "Open file descriptors", open_descriptors() as f64),
            (
                "process_max_fds",
                "Most file descriptors that may be open",
                limit.map_or(f64::INFINITY, |n| n as f64),
            ),
            ("process_start_time_seconds", "Start of the process, in Unix time", started.as_secs_f64()),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    (Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default()) + Duration::from_nanos(nanoseconds))
        .as_secs_f64()
}

/// The entry `name` of `/proc/self/status`; sizes are in KiB there.
fn number_after(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The descriptor that reads the directory does not count.
fn open_descriptors() -> u64 {
    let count = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (count as u64).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_process_has_used_time_memory_and_files() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new(UNIX_EPOCH + Duration::from_secs(7))));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap().parse::<f64>().unwrap()
        };
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads"] {
            assert!(value(name) > 0.0, "{text}");
        }
        assert!((3.0..=value("process_max_fds")).contains(&value("process_open_fds")));
        assert_eq!(value("process_start_time_seconds"), 7.0);
    }
}
