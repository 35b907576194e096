//! The results as JSON, for programs that draw or compare them.

use serde_json::{Map, Value, json};

use crate::machine;
use crate::peers::Installed;
use crate::results::Results;
use crate::scale::Scale;
use crate::{table, workloads};

/// Each quantity with its unit, median and rounds, in the unit of the table.
pub fn json(results: &Results, peers: &[Installed], scale: &Scale) -> Value {
    let mut rows = Vec::new();
    for workload in &workloads::ALL {
        for quantity in results.quantities(workload.name) {
            let mut values = Map::new();
            for Installed { peer, .. } in peers {
                let median = results.median(workload.name, quantity, *peer);
                let rounds = results.rounds(workload.name, quantity, *peer);
                let rounds: Vec<f64> = rounds.iter().map(|value| quantity.shown(*value)).collect();
                let median = median.map(|value| quantity.shown(value));
                values.insert(peer.name().to_owned(), json!({ "median": median, "rounds": rounds }));
            }
            rows.push(json!({
                "workload": workload.name,
                "title": workload.title,
                "unit": quantity.label(),
                "values": values,
            }));
        }
    }
    let failures: Vec<Value> = results
        .failures()
        .iter()
        .map(|cell| json!({ "workload": cell.workload, "peer": cell.peer.name(), "reason": cell.reason }))
        .collect();
    let versions: Map<String, Value> = peers
        .iter()
        .map(|installed| (installed.peer.name().to_owned(), table::about(installed, results).into()))
        .collect();
    json!({
        "scale": scale.name,
        "machine": machine::description(),
        "versions": versions,
        "rows": rows,
        "failures": failures,
    })
}
