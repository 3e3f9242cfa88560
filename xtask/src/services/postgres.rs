//! PostgreSQL in a temporary folder, without durability: tests of durability kill our processes, not it.

use std::path::Path;
use std::process::Command;

use super::{START_LIMIT, free_port};
use crate::Outcome;
use crate::process::{self, Server};
use crate::tools;

pub fn start(data: &Path) -> Outcome<(Server, String)> {
    let (initdb, postgres) = (tools::postgres("initdb")?, tools::postgres("postgres")?);
    let dir = data.join("postgres");
    std::fs::create_dir(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    if tools::is_root() {
        // PostgreSQL refuses to run as root; its own user must reach its folder.
        process::read(Command::new("chmod").arg("711").arg(data))?;
        process::read(Command::new("chown").arg("postgres").arg(&dir))?;
    }
    let cluster = dir.join("cluster");
    process::read(
        unprivileged(&initdb)
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&cluster)
            .current_dir(&dir),
    )?;
    let port = free_port()?;
    let mut server = unprivileged(&postgres);
    server
        .arg("-D")
        .arg(&cluster)
        .arg("-p")
        .arg(port.to_string())
        .arg("-k")
        .arg(&dir)
        .current_dir(&dir);
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=64MB",
    ] {
        server.args(["-c", setting]);
    }
    let ready = "database system is ready to accept connections";
    let server = Server::start(
        "PostgreSQL",
        server,
        ready,
        data.join("postgres.log"),
        START_LIMIT,
    )?;
    Ok((
        server,
        format!("postgres://postgres@127.0.0.1:{port}/postgres"),
    ))
}

/// The program as the user `postgres` where we are root, else as ourselves.
fn unprivileged(program: &Path) -> Command {
    if !tools::is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program);
    command
}
