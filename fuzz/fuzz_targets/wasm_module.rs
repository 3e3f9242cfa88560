//! Any bytes as a WebAssembly module, which is run for a moment if it can be.

#![no_main]

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use skill_wasm::{Job, Limits, Module, Stop, World};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    let world = World {
        wall_clock: Arc::new(|| Duration::ZERO),
        random: Arc::new(|bytes| bytes.fill(7)),
    };
    let mut job = Job::new(world);
    job.limits = Limits {
        wall: Duration::from_millis(50),
        memory_bytes: 1 << 20,
        output_bytes: 1 << 10,
        ..job.limits
    };
    if let Ok(module) = Module::load(file.path(), &job.limits) {
        let outcome = module.run(job, &Stop::new());
        assert!(outcome.stdout.len() <= 1 << 10);
        // It is stopped between two instructions, and some copy much memory.
        assert!(outcome.duration < Duration::from_secs(2));
    }
});
