//! Redis without persistence.

use std::path::Path;
use std::process::Command;

use super::{START_LIMIT, free_port};
use crate::Outcome;
use crate::process::Server;
use crate::tools;

pub fn start(data: &Path) -> Outcome<(Server, String)> {
    let program = tools::debian(&["redis-server"], "redis-server")?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &port.to_string(),
        ])
        .current_dir(data);
    let server = Server::start(
        "Redis",
        command,
        "eady to accept connections",
        data.join("redis.log"),
        START_LIMIT,
    )?;
    Ok((server, format!("redis://127.0.0.1:{port}/")))
}
