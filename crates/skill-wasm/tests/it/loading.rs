//! What is no command of WASI preview 1 is refused when it is loaded, with the reason.

use skill_format::Explain;
use skill_wasm::{Limits, MODULE_BYTES_MAX, Module};

use crate::support::load;

#[test]
fn what_cannot_be_run_is_refused_with_its_reason() {
    let component = b"\0asm\x0d\0\x01\0".to_vec();
    let cut = b"\0asm\x01\0\0\0\x01".to_vec();
    for (bytes, code, reason) in [
        (b"#!/bin/sh\n".to_vec(), "module-invalid", "does not begin as one"),
        (component, "module-invalid", "component"),
        (cut, "module-invalid", "no WebAssembly module"),
        (
            br#"(module (memory (export "memory") 1))"#.to_vec(),
            "module-not-a-command",
            "no `_start`",
        ),
        (
            br#"(module (memory (export "memory") 1) (func (export "_start") (param i32)))"#.to_vec(),
            "module-not-a-command",
            "without parameters",
        ),
        (
            br#"(module (func (export "_start")))"#.to_vec(),
            "module-not-a-command",
            "no `memory`",
        ),
        (
            br#"(module (import "env" "fetch" (func)) (memory (export "memory") 1) (func (export "_start")))"#.to_vec(),
            "module-not-a-command",
            "`fetch` from `env`",
        ),
        (
            br#"(module (import "wasi_snapshot_preview1" "fork" (func)) (memory (export "memory") 1) (func (export "_start")))"#.to_vec(),
            "module-invalid",
            "fork",
        ),
        (
            br#"(module (memory (export "memory") 1) (func $s) (start $s) (func (export "_start")))"#.to_vec(),
            "module-invalid",
            "start",
        ),
        (
            br#"(module (memory (export "memory") 9000) (func (export "_start")))"#.to_vec(),
            "module-not-a-command",
            "512 MiB",
        ),
    ] {
        let error = load(&bytes).expect_err(reason);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert!(error.help().is_some());
    }
}

#[test]
fn a_module_that_is_too_large_is_not_read_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.wasm");
    let file = std::fs::File::create(&path).expect("made");
    file.set_len(1 << 40).expect("a sparse file");
    let error = Module::load(&path, &Limits::default()).expect_err("too large");
    assert_eq!(error.code(), "module-too-large");
    assert!(error.to_string().contains(&MODULE_BYTES_MAX.to_string()));
}
