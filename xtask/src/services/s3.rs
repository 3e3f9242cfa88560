//! An S3-compatible object store: PyPI's `moto`, in a Python environment of its own.

use std::path::Path;
use std::process::Command;

use super::{START_LIMIT, free_port};
use crate::Outcome;
use crate::process::Server;
use crate::tools;

/// Exact, so that a new release cannot change what the tests meet.
const PACKAGES: [&str; 1] = ["moto[server,s3]==5.2.5"];

pub fn start(data: &Path) -> Outcome<(Server, String)> {
    let bin = tools::python("moto", &PACKAGES)?;
    let port = free_port()?;
    let mut command = Command::new(bin.join("moto_server"));
    command
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .env("PYTHONUNBUFFERED", "1")
        .current_dir(data);
    let server = Server::start(
        "the S3 server",
        command,
        "Running on http",
        data.join("s3.log"),
        START_LIMIT,
    )?;
    Ok((server, format!("http://127.0.0.1:{port}")))
}
