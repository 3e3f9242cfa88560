//! Where things lie: the user's folder, the store that a command works on, the project around it.
//! Built from what it is given; reads neither the environment nor the working directory.

use std::path::{Path, PathBuf};

/// Name of the store inside a home or project folder.
const STORE: &str = ".skills";
/// Where the first host of skills kept its store inside a project.
const ROUNDTABLE_STORE: &str = ".roundtable/skills";
/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "skills.toml";

/// What decides where a command works.
#[derive(Debug, Clone)]
pub struct PathInputs {
    /// Where the command was started; absolute.
    pub cwd: PathBuf,
    /// The user's home; absolute.
    pub home: PathBuf,
    /// A store that was named by flag or environment.
    pub store: Option<PathBuf>,
    /// Use the user's store even inside a project.
    pub global: bool,
}

/// Which kind of store was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `~/.skills`.
    User,
    /// The store of the project around the working directory.
    Project,
    /// A store that the user named.
    Named,
}

/// The folders and files that a command works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    user: PathBuf,
    store: PathBuf,
    project: Option<PathBuf>,
    scope: Scope,
    cwd: PathBuf,
    home: PathBuf,
}

impl Paths {
    /// Chooses the store: the named one, else the project's, else the user's.
    ///
    /// A project is the nearest folder, from the working directory upwards, that holds
    /// `skills.toml`, `.skills` or `.roundtable/skills`. The search ends before the home folder:
    /// the `.skills` in there is the user's own store.
    pub fn resolve(inputs: PathInputs) -> Self {
        let PathInputs {
            cwd,
            home,
            store,
            global,
        } = inputs;
        let user = home.join(STORE);
        let project = if global {
            None
        } else {
            find_project(&cwd, &home)
        };
        let (store, scope) = match (store, &project) {
            (Some(named), _) => (cwd.join(named), Scope::Named),
            (None, Some(project)) => (project_store(project), Scope::Project),
            (None, None) => (user.clone(), Scope::User),
        };
        Self {
            user,
            store,
            project,
            scope,
            cwd,
            home,
        }
    }

    /// The store: `<name>/<version>/` and `index.json` lie in it.
    pub fn store_dir(&self) -> &Path {
        &self.store
    }

    /// Which kind of store it is.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// `~/.skills`: configuration, keys, pins and the cache, whatever store a command works on.
    pub fn user_dir(&self) -> &Path {
        &self.user
    }

    /// The project around the working directory.
    pub fn project_dir(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// Where relative paths start.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The user's home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Registries, tokens and settings.
    pub fn config_file(&self) -> PathBuf {
        self.user.join("config.json")
    }

    /// Downloads, unpacked trees and what registries said last.
    pub fn cache_dir(&self) -> PathBuf {
        self.user.join(".cache")
    }

    /// The folder of the user's OpenPGP keys.
    pub fn keyring_dir(&self) -> PathBuf {
        self.user.join(".keyring")
    }

    /// What is shown to nobody: tokens and secret keys.
    pub fn secrets(&self) -> [PathBuf; 2] {
        [self.config_file(), self.keyring_dir()]
    }

    /// Which signer was seen first for which skill.
    pub fn pins_file(&self) -> PathBuf {
        self.user.join("pins.json")
    }
}

fn find_project(cwd: &Path, home: &Path) -> Option<PathBuf> {
    cwd.ancestors()
        .take_while(|dir| *dir != home)
        .find(|dir| {
            dir.join(PROJECT_FILE).is_file()
                || dir.join(STORE).is_dir()
                || dir.join(ROUNDTABLE_STORE).is_dir()
        })
        .map(Path::to_owned)
}

fn project_store(project: &Path) -> PathBuf {
    let (ours, roundtable) = (project.join(STORE), project.join(ROUNDTABLE_STORE));
    if !ours.is_dir() && roundtable.is_dir() {
        roundtable
    } else {
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        dir: tempfile::TempDir,
    }

    impl Home {
        fn new(folders: &[&str]) -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            for folder in folders {
                std::fs::create_dir_all(dir.path().join(folder)).expect("mkdir");
            }
            Self { dir }
        }

        fn resolve(&self, cwd: &str, store: Option<&str>, global: bool) -> (String, Scope) {
            let paths = Paths::resolve(PathInputs {
                cwd: self.dir.path().join(cwd),
                home: self.dir.path().to_owned(),
                store: store.map(PathBuf::from),
                global,
            });
            let store = paths
                .store_dir()
                .strip_prefix(self.dir.path())
                .expect("inside the home");
            (store.display().to_string(), paths.scope())
        }
    }

    #[test]
    fn the_nearest_project_above_gives_the_store() {
        let home = Home::new(&[
            "p/.skills",
            "p/src/deep",
            "r/.roundtable/skills",
            "none",
            ".skills",
        ]);
        assert_eq!(
            home.resolve("p/src/deep", None, false),
            ("p/.skills".into(), Scope::Project)
        );
        assert_eq!(
            home.resolve("r", None, false),
            ("r/.roundtable/skills".into(), Scope::Project)
        );
        assert_eq!(
            home.resolve("none", None, false),
            (".skills".into(), Scope::User)
        );
        assert_eq!(
            home.resolve("p", None, true),
            (".skills".into(), Scope::User)
        );
        assert_eq!(
            home.resolve("p", Some("elsewhere"), false),
            ("p/elsewhere".into(), Scope::Named)
        );
    }

    #[test]
    fn a_new_project_is_known_by_its_manifest() {
        let home = Home::new(&["p/src"]);
        std::fs::write(home.dir.path().join("p/skills.toml"), "").expect("write");
        assert_eq!(
            home.resolve("p/src", None, false),
            ("p/.skills".into(), Scope::Project)
        );
    }

    #[test]
    fn both_stores_of_a_project_mean_ours() {
        let home = Home::new(&["p/.skills", "p/.roundtable/skills"]);
        assert_eq!(
            home.resolve("p", None, false),
            ("p/.skills".into(), Scope::Project)
        );
    }
}
