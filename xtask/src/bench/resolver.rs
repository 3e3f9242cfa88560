//! Solving a graph of 1,000 skills.

use std::process::Command;

use super::{Bench, Row};
use crate::Outcome;
use crate::process;

/// Runs the resolver's own example, which prints the median time in milliseconds per graph.
pub fn solve(bench: &Bench) -> Outcome<Vec<Row>> {
    let output = process::read(&mut Command::new(bench.examples.join("resolver_graph")))?;
    output
        .lines()
        .map(|line| {
            let (what, ms) = line
                .split_once('\t')
                .ok_or_else(|| format!("the example printed {line:?}"))?;
            let ms: f64 = ms
                .parse()
                .map_err(|_| format!("the example printed {line:?}"))?;
            Ok(Row {
                what: format!("resolve {what}"),
                ours: format!("{ms:.1} ms"),
                reference: "–".to_owned(),
                result: format!("{ms:.1} ms"),
                target: "< 100 ms",
                met: ms < 100.0,
            })
        })
        .collect()
}
