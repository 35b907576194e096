//! tidegate beside its peers: the same certificate, cipher, passwords, upstream and load, in one
//! table.
//!
//! `cargo bench --bench side_by_side -- --help` explains how to use it. Without cargo's `--bench`,
//! as `cargo test --all-targets` starts it, nothing is measured. It then only checks that every
//! workload works with every peer.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints its findings")]
#![allow(unreachable_pub, missing_docs, reason = "a bench has no public face")]

mod blob;
mod chart;
mod failure;
mod floor;
mod front;
mod goals;
mod http1;
mod http2;
mod machine;
mod meter;
mod options;
mod peers;
mod priority;
mod probe;
mod process;
mod quantity;
mod registry;
mod report;
mod results;
mod scale;
mod scratch;
mod table;
mod target;
mod upstream;
mod usage;
mod workloads;

use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Outcome;
use crate::options::Options;
use crate::peers::{Installed, Peer};
use crate::registry::Registry;
use crate::results::Results;
use crate::scale::{SMOKE, Scale};
use crate::scratch::Scratch;
use crate::workloads::{Upstreams, Workload};

/// The time limit of a single run.
const RUN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let measures = arguments.iter().any(|argument| argument == "--bench" || argument == "--help");
    let done = match &arguments[..] {
        [_, command, rest @ ..] if command == floor::COMMAND => floor::serve(rest),
        _ if measures => measure(&Options::parse()),
        _ => smoke(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("side_by_side: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Outcome<ExitCode> {
    let (folder, baseline) = (options.peers_folder()?, options.baseline()?);
    let peers = peers::find(&options.peers(), folder.as_deref(), &options.program()?, baseline.as_deref())?;
    let wanted = |workload: &Workload| {
        options.only.is_empty() || options.only.iter().any(|name| name == workload.name)
    };
    let scale = options.scale();
    let results = run(&peers, wanted, &scale)?;
    println!("{}", table::text(&results, &peers));
    println!("{}", goals::text(&results));
    fs::create_dir_all(&options.output)?;
    let json = report::json(&results, &peers, &scale);
    fs::write(options.output.join("results.json"), format!("{json:#}\n"))?;
    fs::write(options.output.join("chart.svg"), chart::svg(&results, &peers))?;
    println!("results.json and chart.svg are in {}", options.output.display());
    Ok(verdict(&results))
}

/// Runs everything once, at the smallest scale. A peer may fail at some workloads, but not at all
/// of them.
fn smoke() -> Outcome<ExitCode> {
    let began = Instant::now();
    let mut peers = Peer::ALL.to_vec();
    peers.retain(|peer| !peer.is_asked_for());
    let peers = peers::find(&peers, None, Path::new(env!("CARGO_BIN_EXE_tidegate")), None)?;
    let results = run(&peers, |_| true, &SMOKE)?;
    for cell in results.failures() {
        println!("side_by_side: {} with {}: {}", cell.workload, cell.peer.name(), cell.reason);
    }
    let all_serve = peers.iter().all(|installed| results.has_any(installed.peer));
    let code = if all_serve { verdict(&results) } else { ExitCode::FAILURE };
    let outcome = if code == ExitCode::SUCCESS { "every workload works" } else { "FAILED" };
    println!("side_by_side: {outcome} ({} s)", began.elapsed().as_secs());
    Ok(code)
}

/// Returns an error for anything that tidegate failed to do.
fn verdict(results: &Results) -> ExitCode {
    let failed = results.failures().iter().any(|cell| cell.peer == Peer::Tidegate);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs every workload with every peer, round by round, so that a disturbance of the machine
/// affects all of them.
fn run(peers: &[Installed], wanted: impl Fn(&Workload) -> bool, scale: &Scale) -> Outcome<Results> {
    allow_many_files()?;
    let mut cells = Vec::new();
    for workload in workloads::ALL.iter().filter(|workload| wanted(workload)) {
        let serving = peers.iter().filter(|installed| workload.is_for(installed.peer));
        cells.extend(serving.map(|installed| (workload, installed)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let mut scratch = Scratch::new()?;
        let registry = Registry::start(&mut scratch).await?;
        let upstreams = Upstreams { cheap: upstream::start()?, real: registry.address };
        let mut results = Results::default();
        let mut slow = Vec::new();
        for round in 1..=scale.rounds {
            for (workload, installed) in &cells {
                let peer = installed.peer;
                let again =
                    results.failure(workload.name, peer).is_none() && !slow.contains(&(workload.name, peer));
                if !again {
                    continue;
                }
                if began.elapsed() > scale.budget {
                    eprintln!("\nTime is up in round {round}; the results so far are kept.");
                    return Ok(results);
                }
                if stderr().is_terminal() {
                    eprint!("\r{:78}\rround {round}: {}, {}", "", workload.title, peer.name());
                }
                let begun = Instant::now();
                let run = workload.run(installed, &mut scratch, &upstreams, scale);
                results.add(workload.name, peer, in_time(run).await?);
                if !peer.is_tidegate() && begun.elapsed() > scale.patience {
                    slow.push((workload.name, peer));
                }
            }
        }
        if stderr().is_terminal() {
            eprint!("\r{:78}\r", "");
        }
        Ok(results)
    })
}

/// The outcome of a run, within the time limit. An interrupt ends the bench and everything it
/// started.
async fn in_time<T>(run: impl Future<Output = Outcome<T>>) -> Outcome<Outcome<T>> {
    tokio::select! {
        outcome = tokio::time::timeout(RUN, run) => {
            Ok(outcome.unwrap_or_else(|_| Err(format!("it took longer than {} s", RUN.as_secs()).into())))
        }
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

/// Thousands of connections need descriptors, here and in the proxies.
fn allow_many_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
