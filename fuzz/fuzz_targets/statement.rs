//! Any bytes as a statement: it has one byte form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_signing::Statement;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::parse(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
        assert!(statement.version().build.is_empty());
    }
});
