//! A real OpenID Connect provider: npm's `oidc-provider`, configured by `xtask/services/oidc/server.mjs`.

use std::path::Path;
use std::process::Command;

use super::{START_LIMIT, free_port};
use crate::Outcome;
use crate::process::Server;
use crate::tools;

pub fn start(data: &Path) -> Outcome<(Server, String)> {
    let dir = tools::node("oidc", &tools::root().join("xtask/services/oidc"))?;
    let port = free_port()?;
    let mut command = Command::new("node");
    command
        .arg("server.mjs")
        .env("PORT", port.to_string())
        .current_dir(dir);
    let server = Server::start(
        "the OIDC provider",
        command,
        "listening",
        data.join("oidc.log"),
        START_LIMIT,
    )?;
    Ok((server, format!("http://127.0.0.1:{port}")))
}
