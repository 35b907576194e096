//! The command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::failure::Outcome;
use crate::peers::Peer;
use crate::scale::{FULL, QUICK, Scale};
use crate::workloads;

/// Measures tidegate beside nginx, haproxy, caddy and envoy
///
/// Installs missing peers from Debian's packages, or uses those of --peers-from; envoy takes
/// part only if there is a command of that name. Starts each proxy in front of the same
/// upstream, with the same certificate, cipher and htpasswd, loads them in turn and prints one
/// table. Each value is the median of the rounds, ± half of the interquartile range. The number
/// in parentheses is tidegate's value divided by the peer's.
///
/// "CPU s" is the CPU time of the proxy's processes, "wall" is elapsed time. Compare the CPU time:
/// load and upstream run on the same machine.
#[derive(Parser)]
#[command(
    name = "side_by_side",
    bin_name = "cargo bench --bench side_by_side --",
    after_help = "Examples:\n  cargo bench --bench side_by_side -- --peers-from sid\n  cargo bench --bench side_by_side -- --quick\n  \
                  cargo bench --bench side_by_side -- --only pull-h1,push-chunked --peers nginx\n  \
                  cargo bench --bench side_by_side -- --baseline ../before/target/release/tidegate"
)]
pub struct Options {
    /// Take minutes instead of an hour, with less data
    #[arg(long)]
    pub quick: bool,
    /// Run only these workloads
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(workloads::ALL.iter().map(|workload| workload.name)))]
    pub only: Vec<String>,
    /// Compare tidegate with these peers only
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    peers: Vec<Peer>,
    /// A folder with newer peers; "sid" makes one from Debian sid and PyPI, which needs root
    #[arg(long, value_name = "DIR")]
    peers_from: Option<PathBuf>,
    /// The tidegate to measure, such as that of deploy/build.sh; without it, cargo's
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Another tidegate to compare with, such as an older build
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,
    /// Add a column for the least that a proxy has to do in most HTTP/1.1 workloads
    #[arg(long)]
    floor: bool,
    /// How often to run each workload with each peer
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// The folder for results.json and chart.svg
    #[arg(long, value_name = "DIR", default_value = "target/side_by_side")]
    pub output: PathBuf,
    /// Passed by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn scale(&self) -> Scale {
        let scale = if self.quick { QUICK } else { FULL };
        Scale { rounds: self.rounds.unwrap_or(scale.rounds), ..scale }
    }

    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = Peer::ALL.to_vec();
        peers.retain(|peer| match peer {
            Peer::Tidegate => true,
            Peer::TidegateBefore => self.baseline.is_some(),
            Peer::Floor => self.floor,
            peer => self.peers.is_empty() || self.peers.contains(peer),
        });
        peers
    }

    /// The program of --program.
    pub fn program(&self) -> Outcome<PathBuf> {
        self.program.as_deref().map_or_else(|| Ok(PathBuf::from(env!("CARGO_BIN_EXE_tidegate"))), absolute)
    }

    /// The program of --baseline.
    pub fn baseline(&self) -> Outcome<Option<PathBuf>> {
        self.baseline.as_deref().map(absolute).transpose()
    }

    /// The folder of --peers-from, which is made if it is "sid".
    pub fn peers_folder(&self) -> Outcome<Option<PathBuf>> {
        let Some(folder) = &self.peers_from else { return Ok(None) };
        if folder != Path::new("sid") {
            return absolute(folder).map(Some);
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = repository.join("target/side_by_side/peers");
        if !Command::new(repository.join("benches/peers.sh")).arg(&folder).status()?.success() {
            return Err("the newest peers could not be installed".into());
        }
        Ok(Some(folder))
    }
}

/// Each peer starts in a folder of its own.
fn absolute(path: &Path) -> Outcome<PathBuf> {
    Ok(fs::canonicalize(path).map_err(|failure| format!("{}: {failure}", path.display()))?)
}
