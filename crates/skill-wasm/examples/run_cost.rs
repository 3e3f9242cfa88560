//! Prints what a run of a small module costs, as JSON: median microseconds of making an instance of a
//! module with as much memory as compiled programs have, and running it. `-- RUNS` sets how often.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skill_wasm::{Ended, Job, Limits, Module, Stop, World};

/// It says `hi`. 17 pages are what a Rust program begins with.
const GREETER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 1048576) "\08\00\10\00\03\00\00\00hi\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 1048576) (i32.const 1) (i32.const 1048592)))))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let runs = std::env::args()
        .nth(1)
        .map_or(Ok(10_000), |runs| runs.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.wasm");
    std::fs::write(&path, wat::parse_str(GREETER)?)?;
    let module = Module::load(&path, &Limits::default())?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let job = Job::new(World {
            wall_clock: Arc::new(|| Duration::ZERO),
            random: Arc::new(|bytes| bytes.fill(4)),
        });
        let began = Instant::now();
        let outcome = module.run(job, &Stop::new());
        times.push(began.elapsed());
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert_eq!(outcome.stdout, b"hi\n");
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{{\"run_us\":{:.1}}}", median.as_secs_f64() * 1e6);
    Ok(())
}
