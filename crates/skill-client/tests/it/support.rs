//! What the tests of installing share: a user with a cache and a store, and skills to install.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skill_client::api::{Client, ClientOptions};
use skill_client::http::{HttpOptions, RetryPolicy};
use skill_client::{
    Cache, Clock as _, Config, Event, InstallError, InstallOutcome, InstallRequest, InstalledSkill,
    Installer, SkillSource, Store, SystemClock, Verifier,
};
use skill_format::{Explain as _, SkillFile, SkillName, SkillTree};
use skill_signing::{Keyring, Pins};
use tempfile::TempDir;

/// A name, from a literal.
pub fn name(text: &str) -> SkillName {
    text.parse().expect(text)
}

/// The present moment.
pub fn now() -> jiff::Timestamp {
    SystemClock.now()
}

/// Retries without waiting.
pub fn impatient() -> HttpOptions {
    let retry = RetryPolicy {
        jitter: Arc::new(|| 0.0),
        ..RetryPolicy::default()
    };
    HttpOptions {
        retry,
        ..HttpOptions::default()
    }
}

/// Somebody who installs skills.
pub struct User {
    dir: TempDir,
    pub store: Store,
    pub cache: Cache,
    pub client: Client,
    pub verifier: Verifier,
    pub events: RefCell<Vec<String>>,
}

impl User {
    /// With a registry that nobody runs.
    pub fn alone() -> Self {
        Self::of("http://127.0.0.1:9")
    }

    /// With a registry.
    pub fn of(registry: &str) -> Self {
        Self::with(registry, |_| {})
    }

    pub fn with(registry: &str, change: impl FnOnce(&mut ClientOptions)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let home = dir.path().join("home");
        Self {
            store: Store::new(dir.path().join("project/.skills")),
            cache: Cache::new(home.join(".cache")),
            client: client(registry, &home, change),
            verifier: verifier(&home),
            events: RefCell::default(),
            dir,
        }
    }

    /// The same user in another project.
    pub fn other_store(&self, name: &str) -> Store {
        Store::new(self.dir.path().join(name).join(".skills"))
    }

    /// The same user with another way to ask the registry.
    pub fn reconnect(&mut self, registry: &str, change: impl FnOnce(&mut ClientOptions)) {
        self.client = client(registry, &self.home(), change);
        self.verifier = verifier(&self.home());
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn source(&self, text: &str) -> SkillSource {
        SkillSource::parse(text, self.dir.path()).expect(text)
    }

    pub fn request(&self, texts: &[&str]) -> InstallRequest {
        InstallRequest::of(texts.iter().map(|text| self.source(text)))
    }

    pub async fn install(&self, request: &InstallRequest) -> Result<InstallOutcome, InstallError> {
        self.install_into(&self.store, request).await
    }

    pub async fn install_into(
        &self,
        store: &Store,
        request: &InstallRequest,
    ) -> Result<InstallOutcome, InstallError> {
        let observe = |event: &Event<'_>| self.events.borrow_mut().push(format!("{event:?}"));
        self.installer(store, &observe).install(request, None).await
    }

    pub fn installer<'a>(
        &'a self,
        store: &'a Store,
        observer: &'a skill_client::Observer<'a>,
    ) -> Installer<'a> {
        Installer {
            store,
            cache: &self.cache,
            client: &self.client,
            others: &[],
            verifier: &self.verifier,
            clock: &SystemClock,
            observer,
        }
    }

    /// The code of the error with which an install must end.
    pub async fn refused(&self, request: &InstallRequest) -> &'static str {
        let before = self.store.index().expect("an index");
        let error = self
            .install(request)
            .await
            .expect_err("nothing is installed");
        assert_eq!(
            self.store.index().expect("an index").skills(),
            before.skills(),
            "{error}"
        );
        error.code()
    }

    /// `name@version` of everything that is installed and as it was installed.
    pub fn installed(&self) -> Vec<String> {
        installed(&self.store)
    }

    pub fn entry(&self, text: &str) -> InstalledSkill {
        self.store
            .index()
            .expect("an index")
            .get(&name(text))
            .expect(text)
            .clone()
    }

    /// A file of an installed skill.
    pub fn path_of(&self, skill: &str, file: &str) -> PathBuf {
        self.store.skill_dir(&self.entry(skill)).join(file)
    }

    pub fn read(&self, skill: &str, file: &str) -> String {
        std::fs::read_to_string(self.path_of(skill, file)).expect(file)
    }

    /// Changes a file of an installed skill the way an editor does that writes a new file.
    pub fn edit(&self, skill: &str, file: &str, text: &str) {
        let path = self.path_of(skill, file);
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, text).expect("write");
    }

    pub fn keyring(&self) -> Keyring {
        Keyring::open(self.home().join(".keyring"))
    }

    pub fn pins(&self) -> Pins {
        Pins::open(self.home().join("pins.json"))
    }
}

fn client(registry: &str, home: &Path, change: impl FnOnce(&mut ClientOptions)) -> Client {
    let registry = Config::default()
        .registry(Some(registry))
        .expect("an address");
    let mut options = ClientOptions {
        http: impatient(),
        metadata_dir: Some(home.join(".cache")),
        ..ClientOptions::default()
    };
    change(&mut options);
    Client::new(registry, options)
}

fn verifier(home: &Path) -> Verifier {
    Verifier::new(
        Keyring::open(home.join(".keyring")),
        Pins::open(home.join("pins.json")),
    )
}

/// `name@version` of everything in a store; fails if a folder is not what the index says.
pub fn installed(store: &Store) -> Vec<String> {
    let index = store.index().expect("an index");
    assert!(index.unreadable().is_empty(), "{:?}", index.unreadable());
    let checked = |skill: &InstalledSkill| {
        assert_eq!(
            store.drift(skill),
            skill_client::store::Drift::None,
            "{}",
            skill.name
        );
        format!("{}@{}", skill.name, skill.version)
    };
    index.skills().iter().map(checked).collect()
}

/// A skill folder to be written.
pub struct Author {
    files: BTreeMap<String, String>,
    name: String,
}

impl Author {
    pub fn of(name: &str, version: &str) -> Self {
        let mut author = Self {
            files: BTreeMap::new(),
            name: name.to_owned(),
        };
        author = author.file("notes.md", "one\ntwo\nthree\nfour\nfive\n");
        author.yaml(version, "")
    }

    /// `skill.yaml` with further lines.
    pub fn yaml(self, version: &str, more: &str) -> Self {
        let name = self.name.clone();
        let description = format!("Does what the tests need of {name}.");
        let md =
            format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n\nDo it.\n");
        let yaml = format!("name: {name}\nversion: {version}\ndescription: {description}\n{more}");
        self.file("SKILL.md", &md).file("skill.yaml", &yaml)
    }

    /// A skill of nothing but `SKILL.md`.
    pub fn bare(name: &str) -> Self {
        let mut author = Self::of(name, "0.0.0");
        author.files.retain(|path, _| path == "SKILL.md");
        author
    }

    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Writes the skill into `dir/<name>`.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let folder = dir.join(&self.name);
        for (path, text) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
            std::fs::write(path, text).expect("write");
        }
        folder
    }

    /// Writes the skill as `dir/<name>-1.0.0.spm`.
    pub fn pack(&self, dir: &Path) -> PathBuf {
        let mut tree = SkillTree::new();
        for (path, text) in &self.files {
            tree.insert(path, SkillFile::plain(text.as_str()))
                .expect("a good path");
        }
        let archive = dir.join(format!("{}-1.0.0.spm", self.name));
        std::fs::write(&archive, tree.pack()).expect("write");
        archive
    }
}
