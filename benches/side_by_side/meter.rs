//! The resources that a proxy used during a run.

use std::time::{Duration, Instant};

use crate::failure::Outcome;
use crate::process::Process;
use crate::quantity::Quantity;
use crate::usage;

/// The measurements of one run, in bytes, seconds or counts.
pub type Measured = Vec<(Quantity, f64)>;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

pub struct Meter<'a> {
    process: &'a Process,
    cpu: Duration,
    disk: u64,
    began: Instant,
}

impl Meter<'_> {
    pub fn start(process: &Process) -> Outcome<Meter<'_>> {
        let (cpu, disk) = (usage::cpu(process)?, usage::disk(process)?);
        Ok(Meter { process, cpu, disk, began: Instant::now() })
    }

    /// Ends the measurement of a transfer of this many body bytes.
    pub fn bytes(&self, bytes: u64) -> Outcome<Measured> {
        let (cpu, wall) = self.seconds()?;
        let bytes = bytes as f64;
        Ok(vec![(Quantity::CpuPerGib, cpu / (bytes / GIB)), (Quantity::MegabytesPerSecond, bytes / wall)])
    }

    pub fn requests(&self, count: usize) -> Outcome<Measured> {
        let (cpu, wall) = self.seconds()?;
        let count = count as f64;
        Ok(vec![(Quantity::RequestsPerCpuSecond, count / cpu), (Quantity::RequestsPerSecond, count / wall)])
    }

    pub fn handshakes(&self, count: usize) -> Outcome<Measured> {
        let (cpu, wall) = self.seconds()?;
        let count = count as f64;
        Ok(vec![
            (Quantity::HandshakesPerCpuSecond, count / cpu),
            (Quantity::HandshakesPerSecond, count / wall),
        ])
    }

    /// Ends the measurement of this many images, with this many bytes in all.
    pub fn images(&self, count: usize, bytes: u64) -> Outcome<Measured> {
        let (cpu, wall) = self.seconds()?;
        let count = count as f64;
        Ok(vec![
            (Quantity::CpuPerImage, cpu / count),
            (Quantity::CpuPerGib, cpu / (bytes as f64 / GIB)),
            (Quantity::ImagesPerSecond, count / wall),
        ])
    }

    pub fn disk_bytes(&self) -> Outcome<u64> {
        Ok(usage::disk(self.process)?.saturating_sub(self.disk))
    }

    fn seconds(&self) -> Outcome<(f64, f64)> {
        let wall = self.began.elapsed().as_secs_f64();
        let cpu = usage::cpu(self.process)?.saturating_sub(self.cpu).as_secs_f64();
        if cpu > 0.0 { Ok((cpu, wall)) } else { Err("it used no measurable CPU time".into()) }
    }
}
