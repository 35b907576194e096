//! The results as a picture: for each group one bar per proxy, in colours that work on light and
//! dark backgrounds.

use std::fmt::Write as _;

use crate::machine;
use crate::peers::{Installed, Peer};
use crate::quantity::Quantity;
use crate::results::Results;
use crate::table::{about, digits};

/// A group of bars: a workload, the quantity, and the heading.
type Group = (&'static str, Quantity, &'static str);

const GROUPS: [Group; 11] = [
    ("docker-pull", Quantity::CpuPerImage, "docker pull of 8 layers of 4 MiB: CPU ms, less is better"),
    ("docker-push", Quantity::CpuPerImage, "docker push of 8 layers of 4 MiB: CPU ms, less is better"),
    ("crane-pull", Quantity::CpuPerImage, "crane pull of 8 layers of 4 MiB: CPU ms, less is better"),
    ("pull-h1", Quantity::CpuPerGib, "Pull: CPU seconds per GiB, less is better"),
    ("push-chunked", Quantity::CpuPerGib, "Push, chunked: CPU seconds per GiB, less is better"),
    (
        "get-cost-10",
        Quantity::RequestsPerCpuSecond,
        "Manifests with a password, bcrypt cost 10: requests per CPU second, more is better",
    ),
    (
        "get-open",
        Quantity::RequestsPerCpuSecond,
        "Manifests without a password: requests per CPU second, more is better",
    ),
    (
        "handshake-go",
        Quantity::HandshakesPerCpuSecond,
        "Full handshakes with clients like Go, per CPU second, more is better",
    ),
    ("strangers", Quantity::P99, "Request beside 16 who guess passwords: p99 in ms, less is better"),
    ("pulls-8", Quantity::P99, "HEAD beside 8 pulls: p99 in ms, less is better"),
    ("idle", Quantity::BytesPerConnection, "Memory: KB per idle TLS connection, less is better"),
];

const WIDTH: usize = 760;
const LEFT: usize = 125;
const LONGEST: f64 = 525.0;
const BAR: usize = 14;
const STEP: usize = 18;

/// Both colours are readable on white and on near black.
const OWN: &str = "#e8590c";
const OTHERS: &str = "#7a8794";
const TEXT: &str = "#6e7781";

pub fn svg(results: &Results, peers: &[Installed]) -> String {
    let mut body = String::new();
    let mut y = 34;
    for (workload, quantity, title) in GROUPS {
        let bars: Vec<(Peer, Option<f64>)> = peers
            .iter()
            .map(|installed| (installed.peer, results.median(workload, quantity, installed.peer)))
            .collect();
        let most = bars.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
        if most <= 0.0 {
            continue;
        }
        y += 24;
        let _ = writeln!(body, r#"<text x="8" y="{y}" font-weight="600">{title}</text>"#);
        y += 8;
        for (peer, value) in bars {
            bar(&mut body, y, peer, value.map(|value| (value / most, digits(quantity.shown(value)))));
            y += STEP;
        }
    }
    y += 12;
    let versions =
        peers.iter().map(|installed| format!("{} {}", installed.peer.name(), about(installed, results)));
    for line in std::iter::once(machine::description()).chain(versions) {
        y += 15;
        let _ = writeln!(body, r#"<text x="8" y="{y}" font-size="11">{line}</text>"#);
    }
    let height = y + 12;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}" role="img">
<title>tidegate beside nginx, haproxy, caddy and envoy</title>
<text x="8" y="24" font-size="17" font-weight="600">tidegate beside its peers</text>
{body}</svg>
"#
    )
}

/// Draws a bar relative to the longest, with its value; or a dash without a value.
fn bar(body: &mut String, y: usize, peer: Peer, value: Option<(f64, String)>) {
    let colour = if peer == Peer::Tidegate { OWN } else { OTHERS };
    let (share, shown) = value.unwrap_or((0.0, "–".to_owned()));
    let length = if share > 0.0 { (share * LONGEST).max(1.0) } else { 0.0 };
    let (name, baseline, right) = (peer.name(), y + BAR - 3, LEFT - 8);
    let after = LEFT as f64 + length + 6.0;
    let _ = writeln!(
        body,
        r#"<text x="{right}" y="{baseline}" text-anchor="end">{name}</text><rect x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" rx="2" fill="{colour}"/><text x="{after:.1}" y="{baseline}">{shown}</text>"#
    );
}
