//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::peers::Peer;
use crate::scale::{FULL, QUICK, Scale};
use crate::workloads;

/// Measures tidegate beside nginx, haproxy and caddy
///
/// Installs what is missing from Debian's packages, starts each proxy with the same certificate, cipher and
/// htpasswd in front of the same upstream, loads them in turn and prints one table. Each value is the median
/// of the rounds; in parentheses stands tidegate's value divided by that peer's.
///
/// "CPU s" is the time that the proxy's processes used, "wall" what a clock shows. The CPU is what to
/// compare: load and upstream run on the same machine.
#[derive(Parser)]
#[command(
    name = "side_by_side",
    bin_name = "cargo bench --bench side_by_side --",
    after_help = "Examples:\n  cargo bench --bench side_by_side\n  cargo bench --bench side_by_side -- --quick\n  \
                  cargo bench --bench side_by_side -- --only pull-h1,push-chunked --peers nginx"
)]
pub struct Options {
    /// Under two minutes instead of fifteen, with less data
    #[arg(long)]
    pub quick: bool,
    /// Only these workloads
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(workloads::ALL.iter().map(|workload| workload.name)))]
    pub only: Vec<String>,
    /// Only these peers beside tidegate
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    pub peers: Vec<Peer>,
    /// How often each workload is run with each peer
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Where results.json and chart.svg are written
    #[arg(long, value_name = "DIR", default_value = "target/side_by_side")]
    pub output: PathBuf,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn scale(&self) -> Scale {
        let scale = if self.quick { QUICK } else { FULL };
        Scale { rounds: self.rounds.unwrap_or(scale.rounds), ..scale }
    }
}
