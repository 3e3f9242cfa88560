//! Writes the OpenAPI document to standard output: `cargo xtask openapi` keeps
//! `docs/openapi.json` by it.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(hub::openapi_json().as_bytes())
}
