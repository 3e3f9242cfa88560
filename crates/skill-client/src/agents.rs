//! The agents that read skills, where each one looks for them, and which of them are on this
//! machine. The table is data (`data/agents.tsv`), since agents move their folders between
//! releases. Knows nothing of what is put into those folders, and never reads the environment.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use skill_format::{Explain, Fault, Place};

use crate::near::{did_you_mean, nearest};

/// agent, display name, folder in a project, folder in the home folder.
const TABLE: &str = include_str!("../data/agents.tsv");
/// What shows that an agent is present, where that is not the parent of its global folder:
/// `~/…` in the home folder, `./…` in the project, `-` for never.
const MARKERS: &str = include_str!("../data/agents-detect.tsv");
/// How the table writes that an agent has no global folder.
const NO_GLOBAL_FOLDER: &str = "N/A";

/// Variables with which agents let people move their folder, and the folder they stand for.
const MOVED_BY_ENVIRONMENT: [(&str, &str); 7] = [
    ("AUTOHAND_HOME", "~/.autohand"),
    ("CLAUDE_CONFIG_DIR", "~/.claude"),
    ("CODEX_HOME", "~/.codex"),
    ("GROK_HOME", "~/.grok"),
    ("HERMES_HOME", "~/.hermes"),
    ("SARVAM_HOME", "~/.sarvam"),
    ("VIBE_HOME", "~/.vibe"),
];

static BUILTIN: LazyLock<AgentTable> = LazyLock::new(|| {
    AgentTable::parse(TABLE, MARKERS).expect("the tables in data/ are read by a test")
});

/// Whose folders are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Folders in the project, seen by agents that work on it.
    Project,
    /// Folders in the user's home, seen by agents everywhere.
    Global,
}

/// One agent and where it looks for skills. Paths as the table writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// As in `--agent claude-code`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Relative to the project.
    pub project_dir: Option<String>,
    /// Begins with `~/`, or is absolute.
    pub global_dir: Option<String>,
    /// `None`: the parent of the global folder.
    markers: Option<Vec<String>>,
}

/// The known agents, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTable {
    agents: Vec<Agent>,
}

/// What is wrong with an agent or with a table of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    #[error("there is no agent `{wanted}`")]
    Unknown {
        wanted: String,
        nearest: Vec<String>,
    },
    #[error("line {line} of the agents' table has {found} columns instead of {expected}")]
    Columns {
        line: u32,
        found: usize,
        expected: usize,
    },
    #[error("the agents' table names `{id}` twice")]
    Twice { line: u32, id: String },
    #[error("`{dir}` of agent `{id}` is not a folder inside {}", if *global { "the home folder (~/…) or an absolute path" } else { "the project" })]
    Folder {
        id: String,
        dir: String,
        global: bool,
    },
}

impl Explain for AgentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown-agent",
            Self::Columns { .. } | Self::Twice { .. } => "agents-table",
            Self::Folder { .. } => "agent-folder",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } => Some(
                did_you_mean(nearest)
                    .unwrap_or_else(|| "`skills doctor --agents` lists them".into()),
            ),
            _ => None,
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Columns { line, .. } | Self::Twice { line, .. } => Some(Place {
                line: Some(*line),
                ..Place::default()
            }),
            _ => None,
        }
    }
}

impl AgentTable {
    /// The table that this release ships.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Reads a table of `agent, name, project folder, global folder` and one of `agent, markers`,
    /// both separated by tabs and with a line of headings.
    pub fn parse(table: &str, markers: &str) -> Result<Self, AgentError> {
        let markers: BTreeMap<&str, Vec<String>> = rows::<2>(markers)
            .map(|row| {
                let (_, [id, markers]) = row?;
                let markers = markers.split(' ').filter(|marker| *marker != "-");
                Ok((id, markers.map(str::to_owned).collect()))
            })
            .collect::<Result<_, AgentError>>()?;
        let mut parsed = Self { agents: Vec::new() };
        for row in rows::<4>(table) {
            let (line, [id, name, project_dir, global_dir]) = row?;
            if parsed.agents.iter().any(|agent| agent.id == id) {
                return Err(AgentError::Twice {
                    line,
                    id: id.to_owned(),
                });
            }
            let global = !global_dir.starts_with(NO_GLOBAL_FOLDER);
            parsed.add(Agent {
                id: id.to_owned(),
                name: name.to_owned(),
                project_dir: Some(project_dir.to_owned()),
                global_dir: global.then(|| global_dir.to_owned()),
                markers: markers.get(id).cloned(),
            })?;
        }
        Ok(parsed)
    }

    /// The same table with an agent of the user's own; it replaces one of the same id.
    pub fn with_custom(
        mut self,
        id: &str,
        project_dir: Option<&str>,
        global_dir: Option<&str>,
    ) -> Result<Self, AgentError> {
        self.agents.retain(|agent| agent.id != id);
        self.add(Agent {
            id: id.to_owned(),
            name: id.to_owned(),
            project_dir: project_dir.map(str::to_owned),
            global_dir: global_dir.map(str::to_owned),
            markers: None,
        })?;
        Ok(self)
    }

    fn add(&mut self, agent: Agent) -> Result<(), AgentError> {
        for (dir, global) in [(&agent.project_dir, false), (&agent.global_dir, true)] {
            let Some(dir) = dir else { continue };
            if !is_sound(dir, global) {
                return Err(AgentError::Folder {
                    id: agent.id.clone(),
                    dir: dir.clone(),
                    global,
                });
            }
        }
        self.agents.push(agent);
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter()
    }

    pub fn len(&self) -> usize {
        self.agents.len()
    }

    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// The agent of this id; case does not matter.
    pub fn get(&self, id: &str) -> Result<&Agent, AgentError> {
        self.agents
            .iter()
            .find(|agent| agent.id.eq_ignore_ascii_case(id.trim()))
            .ok_or_else(|| AgentError::Unknown {
                wanted: id.to_owned(),
                nearest: nearest(id, self.agents.iter().map(|agent| agent.id.as_str()), 3),
            })
    }

    /// The agents of these ids, each once, in the order of the table.
    pub fn select<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<&Agent>, AgentError> {
        let wanted = ids
            .iter()
            .map(|id| self.get(id.as_ref()).map(|agent| agent.id.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self
            .iter()
            .filter(|agent| wanted.contains(&agent.id.as_str()))
            .collect())
    }

    /// The agents that have been used on this machine or in this project.
    pub fn present(&self, roots: &Roots) -> Vec<&Agent> {
        self.iter().filter(|agent| roots.has(agent)).collect()
    }
}

/// Lines after the headings, as exactly `N` columns, with their number counted from 1.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = Result<(u32, [&str; N]), AgentError>> {
    (1u32..)
        .zip(table.lines())
        .skip(1)
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(line, text)| {
            let columns: Vec<&str> = text.split('\t').map(str::trim).collect();
            let found = columns.len();
            let columns = columns.try_into().map_err(|_| AgentError::Columns {
                line,
                found,
                expected: N,
            })?;
            Ok((line, columns))
        })
}

/// A folder that stays where it belongs, whatever the table says.
fn is_sound(dir: &str, global: bool) -> bool {
    let path = Path::new(dir.strip_prefix("~/").filter(|_| global).unwrap_or(dir));
    let rooted = global && path.is_absolute();
    (rooted || dir.starts_with("~/") == global)
        && path.components().all(|part| {
            matches!(part, Component::Normal(_)) || (rooted && part == Component::RootDir)
        })
        && path.file_name().is_some()
}

/// From where `~`, the configuration folder and the project are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    home: PathBuf,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    config_home: PathBuf,
    project: Option<PathBuf>,
    /// Folders that the user moved, longest first: what the table writes, where it is.
    moved: Vec<(&'static str, PathBuf)>,
}

impl Roots {
    /// Standard places under `home`; no project.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self {
            config_home: home.join(".config"),
            home,
            project: None,
            moved: Vec::new(),
        }
    }

    pub fn with_project(mut self, project: impl Into<PathBuf>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Honours `XDG_CONFIG_HOME` and the agents' own variables, such as `CLAUDE_CONFIG_DIR`.
    /// Relative values are ignored, as the XDG specification asks.
    pub fn with_environment(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let absolute = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(config_home) = absolute("XDG_CONFIG_HOME") {
            self.config_home = config_home;
        }
        self.moved = MOVED_BY_ENVIRONMENT
            .iter()
            .filter_map(|(name, folder)| Some((*folder, absolute(name)?)))
            .collect();
        self
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// Where `agent` looks for skills; `None` if it has no folder of this scope, or if there is no project.
    pub fn folder(&self, agent: &Agent, scope: Scope) -> Option<PathBuf> {
        match scope {
            Scope::Project => Some(self.project()?.join(agent.project_dir.as_ref()?)),
            Scope::Global => Some(self.expand(agent.global_dir.as_ref()?)),
        }
    }

    fn expand(&self, written: &str) -> PathBuf {
        for (folder, place) in &self.moved {
            if let Some(rest) = written.strip_prefix(folder)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return place.join(rest.trim_start_matches('/'));
            }
        }
        if let Some(rest) = written.strip_prefix("~/.config/") {
            self.config_home.join(rest)
        } else if let Some(rest) = written.strip_prefix("~/") {
            self.home.join(rest)
        } else {
            PathBuf::from(written)
        }
    }

    fn has(&self, agent: &Agent) -> bool {
        match &agent.markers {
            Some(markers) => markers
                .iter()
                .any(|marker| match marker.strip_prefix("./") {
                    Some(inside) => self
                        .project()
                        .is_some_and(|project| project.join(inside).exists()),
                    None => self.expand(marker).exists(),
                }),
            None => [Scope::Project, Scope::Global]
                .into_iter()
                .any(|scope| self.has_own_files(agent, scope)),
        }
    }

    /// A folder of the agent with more in it than skills: we may have made those ourselves.
    fn has_own_files(&self, agent: &Agent, scope: Scope) -> bool {
        let Some(folder) = self.folder(agent, scope) else {
            return false;
        };
        let Some(parent) = folder.parent() else {
            return false;
        };
        // `.agents/` and a plain `skills/` belong to nobody in particular.
        if parent == self.home
            || Some(parent) == self.project()
            || parent.file_name().is_some_and(|name| name == ".agents")
        {
            return false;
        }
        std::fs::read_dir(parent).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| Some(entry.file_name().as_os_str()) != folder.file_name())
        })
    }
}

/// A folder and the agents that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFolder<'a> {
    pub path: PathBuf,
    pub agents: Vec<&'a Agent>,
}

/// The folders of these agents, each once, and the agents that have none of this scope.
pub fn shared_folders<'a>(
    agents: &[&'a Agent],
    roots: &Roots,
    scope: Scope,
) -> (Vec<SharedFolder<'a>>, Vec<&'a Agent>) {
    let mut folders: Vec<SharedFolder<'a>> = Vec::new();
    let mut without = Vec::new();
    for agent in agents {
        let Some(path) = roots.folder(agent, scope) else {
            without.push(*agent);
            continue;
        };
        match folders.iter_mut().find(|folder| folder.path == path) {
            Some(folder) => folder.agents.push(agent),
            None => folders.push(SharedFolder {
                path,
                agents: vec![agent],
            }),
        }
    }
    (folders, without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_tables_are_sound() {
        let table = AgentTable::parse(TABLE, MARKERS).unwrap();
        assert_eq!(table.len(), 79);
        for row in rows::<2>(MARKERS) {
            let (_, [id, _]) = row.unwrap();
            assert!(table.get(id).is_ok(), "{id} has markers but is no agent");
        }
        for (_, folder) in MOVED_BY_ENVIRONMENT {
            assert!(folder.starts_with("~/"));
        }
    }

    #[test]
    fn project_only_agents_have_no_global_folder() {
        let roots = Roots::new("/home/u").with_project("/p");
        let eve = AgentTable::builtin().get("eve").unwrap();
        assert_eq!(roots.folder(eve, Scope::Global), None);
        assert_eq!(
            roots.folder(eve, Scope::Project),
            Some("/p/agent/skills/".into())
        );
    }

    #[test]
    fn an_unknown_agent_names_the_nearest() {
        let error = AgentTable::builtin().get("claud-code").unwrap_err();
        assert_eq!(error.help().as_deref(), Some("did you mean `claude-code`?"));
        assert_eq!(AgentTable::builtin().get("Codex").unwrap().id, "codex");
    }

    #[test]
    fn environment_moves_what_belongs_to_it_and_nothing_else() {
        let set = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some("/cfg".to_owned()),
            "CLAUDE_CONFIG_DIR" => Some("/claude".to_owned()),
            "GROK_HOME" => Some("relative".to_owned()),
            _ => None,
        };
        let roots = Roots::new("/home/u").with_environment(&set);
        let folder = |id: &str| {
            roots
                .folder(AgentTable::builtin().get(id).unwrap(), Scope::Global)
                .unwrap()
        };
        assert_eq!(folder("claude-code"), Path::new("/claude/skills"));
        assert_eq!(folder("goose"), Path::new("/cfg/goose/skills"));
        assert_eq!(folder("grok"), Path::new("/home/u/.grok/skills"));
        assert_eq!(folder("cursor"), Path::new("/home/u/.cursor/skills"));
    }

    #[test]
    fn shared_folders_are_listed_once() {
        let roots = Roots::new("/home/u").with_project("/p");
        let all: Vec<&Agent> = AgentTable::builtin().iter().collect();
        let (folders, without) = shared_folders(&all, &roots, Scope::Project);
        assert!(without.is_empty());
        assert_eq!(
            folders
                .iter()
                .map(|folder| folder.agents.len())
                .sum::<usize>(),
            79
        );
        let shared = folders
            .iter()
            .find(|folder| folder.path.ends_with(".agents/skills"))
            .unwrap();
        assert!(shared.agents.len() > 15);
    }

    #[test]
    fn tables_with_folders_outside_are_refused() {
        let row = |project: &str, global: &str| {
            AgentTable::parse(&format!("h\nx\tX\t{project}\t{global}\n"), "h\n")
        };
        assert!(row(".x/skills/", "~/.x/skills/").is_ok());
        assert!(row("../x", "~/.x").is_err());
        assert!(row("/x", "~/.x").is_err());
        assert!(row("x", "~/../x").is_err());
        assert!(row("x", "x").is_err());
        assert!(AgentTable::parse("h\nx\tX\n", "h\n").is_err());
    }
}
