//! Modules out of text, and runs of them in a world that stands still.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skill_wasm::{Folder, Job, Limits, Module, ModuleError, Outcome, Stop, World};

/// What every module here imports, with some room for it to work in.
const BEGIN: &str = r#"
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  ;; Writes memory from $at, $length bytes, to a stream.
  (func $write (param $to i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8))))
  ;; Copies a descriptor to standard output, to its end.
  (func $copy (param $from i32)
    (block $end (loop $more
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const 32768))
      (if (call $fd_read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8))
        (then (call $exit (i32.const 99))))
      (br_if $end (i32.eqz (i32.load (i32.const 8))))
      (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 8)))
      (br $more))))
  ;; Ends with an error number, if it is one.
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $exit (local.get $errno)))))
"#;

/// A module whose `_start` is this, after whatever else stands in `before`.
pub fn module_with(before: &str, start: &str) -> Module {
    let text = format!("(module {BEGIN} {before} (func (export \"_start\") {start}))");
    load(text.as_bytes()).expect("a module that can be run")
}

pub fn module(start: &str) -> Module {
    module_with("", start)
}

pub fn load(text_or_binary: &[u8]) -> Result<Module, ModuleError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.wasm");
    let bytes = match std::str::from_utf8(text_or_binary) {
        Ok(text) if text.starts_with('(') => wat::parse_str(text).expect("WebAssembly text"),
        _ => text_or_binary.to_vec(),
    };
    std::fs::write(&path, bytes).expect("written");
    Module::load(&path, &Limits::default())
}

/// A job in a world whose clock shows a minute past the epoch and whose random bytes are all 7. It has all
/// the time that a loaded machine may need.
pub fn job() -> Job {
    let mut job = Job::new(World {
        wall_clock: Arc::new(|| Duration::from_secs(60)),
        random: Arc::new(|bytes| bytes.fill(7)),
    });
    job.limits.wall = Duration::from_secs(600);
    job
}

pub fn run(module: &Module, job: Job) -> Outcome {
    module.run(job, &Stop::new())
}

/// `path` as the module's `/`.
pub fn shown(path: impl Into<PathBuf>) -> Vec<Folder> {
    vec![Folder {
        shown_as: "/".to_owned(),
        path: path.into(),
    }]
}
