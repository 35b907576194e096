//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::peers::Peer;
use crate::scale::{FULL, QUICK, Scale};
use crate::workloads;

/// Measures tidegate beside nginx, haproxy and caddy
///
/// Installs missing peers from Debian's packages. Starts each proxy in front of the same upstream,
/// with the same certificate, cipher and htpasswd, loads them in turn and prints one table. Each
/// value is the median of the rounds. The number in parentheses is tidegate's value divided by the
/// peer's.
///
/// "CPU s" is the CPU time of the proxy's processes, "wall" is elapsed time. Compare the CPU time:
/// load and upstream run on the same machine.
#[derive(Parser)]
#[command(
    name = "side_by_side",
    bin_name = "cargo bench --bench side_by_side --",
    after_help = "Examples:\n  cargo bench --bench side_by_side\n  cargo bench --bench side_by_side -- --quick\n  \
                  cargo bench --bench side_by_side -- --only pull-h1,push-chunked --peers nginx"
)]
pub struct Options {
    /// Take two minutes instead of fifteen, with less data
    #[arg(long)]
    pub quick: bool,
    /// Run only these workloads
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(workloads::ALL.iter().map(|workload| workload.name)))]
    pub only: Vec<String>,
    /// Compare tidegate with these peers only
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    pub peers: Vec<Peer>,
    /// How often to run each workload with each peer
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
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
}
