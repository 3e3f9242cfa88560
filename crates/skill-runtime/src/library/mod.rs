//! The runnable skills of a worker: found, read and made ready once, and again when their files change.
//! Whoever runs one holds a [`Snapshot`], which stays as it was.

mod agents_md;
mod load;
mod sources;
mod stamp;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use skill_client::index::IndexError;
use skill_client::python::Environments;
use skill_client::store::StoreError;
use skill_format::{Explain, Fault, Place, Sha256};
use skill_mesh::matcher::{Match, MatchError, Matcher};

pub(crate) use load::Loaded;
use load::{Cached, Part, Way};
use stamp::Stamp;

use crate::advice::{self, Advice};
use crate::permissions::Granting;
use crate::preparing::Preparer;

/// Where skills come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with skills somewhere below it. If it has an `AGENTS.md` that lists skills, those.
    Folder(PathBuf),
    /// The skills that this file lists in its `<available_skills>`.
    AgentsMd(PathBuf),
    /// The installed skills of a local store.
    Store(PathBuf),
}

impl Source {
    fn path(&self) -> &PathBuf {
        match self {
            Self::Folder(path) | Self::AgentsMd(path) | Self::Store(path) => path,
        }
    }
}

/// Reads the caller's environment.
pub type Variable = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// What holds for every skill, see [`crate::Rules`].
#[derive(Clone)]
pub struct Surroundings {
    /// Reads the caller's environment.
    pub variable: Variable,
    /// What they are granted.
    pub granting: Granting,
    /// Where skills' Python packages are.
    pub environments: Environments,
}

/// Why a source cannot be used. A single bad skill is no error but left out.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A folder or file of the caller's.
    #[error("the skills in {} cannot be read: {source}", path.display())]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// An `AGENTS.md` without the block.
    #[error("{} lists no skills: it has no <available_skills>", path.display())]
    NoList {
        /// As it was given.
        path: PathBuf,
    },
    /// The store's index.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for LibraryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "skills-unreadable",
            Self::NoList { .. } => "agents-md-without-skills",
            Self::Store(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Unreadable { .. } | Self::NoList { .. } => Fault::BadInput,
            Self::Store(error) => error.fault(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("name a folder that exists and may be read".into()),
            Self::NoList { .. } => Some(
                "`skills load --format text` prints the block; or name a folder of skills".into(),
            ),
            Self::Store(error) => error.help(),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Store(error) => error.place(),
            _ => None,
        }
    }
}

/// A skill that was found and cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, or what its folder is called.
    pub name: String,
    pub folder: PathBuf,
    /// Code, sentence and what to do.
    pub why: String,
    /// It will be there when its Python packages are.
    pub is_preparing: bool,
}

/// The skills at one moment.
#[derive(Debug)]
pub struct Snapshot {
    members: Vec<Member>,
    matcher: Matcher,
    left_out: Vec<LeftOut>,
    /// What none of them may change: where they come from, and themselves.
    pub(crate) protected: Vec<PathBuf>,
    /// Of what the skills say of themselves; made when it is first asked for.
    digest: OnceLock<Sha256>,
}

/// A skill of a snapshot.
#[derive(Debug)]
pub(crate) struct Member {
    pub skill: Arc<Loaded>,
    /// Folders of the skills that it depends on.
    pub beside: Vec<PathBuf>,
}

/// A skill that was chosen for an intent.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub member: &'a Member,
    pub input: String,
    pub entry: Option<String>,
}

impl<'a> Choice<'a> {
    fn of(members: &'a [Member], found: Match<'_>) -> Self {
        Self {
            member: &members[found.index],
            input: found.input,
            entry: found.entry,
        }
    }
}

impl Snapshot {
    /// Names of the skills that can be run, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.members
            .iter()
            .map(|member| member.skill.manifest.name.as_str())
    }

    /// What was found and cannot be run.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Whether the skill of this name will be there when its Python packages are.
    pub fn is_preparing(&self, name: &str) -> bool {
        let mut left_out = self.left_out.iter();
        left_out.any(|one| one.is_preparing && one.name == name)
    }

    /// Why the skill that was asked for by name is not among them, though it was found.
    pub(crate) fn why_left_out(&self, error: &MatchError) -> Option<&str> {
        let MatchError::Unknown { name, .. } = error else {
            return None;
        };
        let left_out = self.left_out.iter().find(|one| one.name == *name)?;
        Some(&left_out.why)
    }

    pub(crate) fn find(&self, intent: &str) -> Result<Choice<'_>, MatchError> {
        let found = self.matcher.find(intent)?;
        Ok(Choice::of(&self.members, found))
    }

    /// As [`Snapshot::find`], and by a model where words find nothing. The text of an error says what is there.
    pub(crate) async fn find_advised(
        &self,
        intent: &str,
        advice: Option<&Advice>,
    ) -> Result<Choice<'_>, (MatchError, Option<String>)> {
        let error = match (self.find(intent), advice) {
            (Ok(choice), _) => return Ok(choice),
            (Err(error @ MatchError::NothingFits { .. }), Some(_)) => error,
            (Err(error), _) => return Err((error, None)),
        };
        let (Some(advice), false) = (advice, self.members.is_empty()) else {
            return Err((error, None));
        };
        let task = skill_mesh::matcher::task_of(intent);
        let candidates = self.matcher.candidates();
        let word = match advice.choose(&task, self.digest(), candidates).await {
            Ok(Some(name)) => match self.matcher.assign(intent, &name) {
                Some(found) => return Ok(Choice::of(&self.members, found)),
                // It was among those that the model was told.
                None => "the model named a skill that is not here".to_owned(),
            },
            Ok(None) => "the model knows none that fits either".to_owned(),
            Err(why) => format!("the model could not be asked: {why}"),
        };
        Err((error, Some(word)))
    }

    fn digest(&self) -> Sha256 {
        *self
            .digest
            .get_or_init(|| advice::digest(self.matcher.candidates()))
    }
}

/// Skills that are kept up to date.
pub struct Library {
    sources: Vec<Source>,
    surroundings: Surroundings,
    preparer: Arc<Preparer>,
    snapshot: RwLock<Arc<Snapshot>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stamp: Stamp,
    /// By folder: a skill whose files did not change is not read again.
    cache: HashMap<PathBuf, Cached>,
    /// The last attempt found a source unreadable, which was said.
    is_stuck: bool,
    /// How many preparations of Python packages had ended when the skills were loaded.
    prepared: u64,
}

impl Library {
    /// Reads everything once. Touches files: not for a thread that has others to serve.
    ///
    /// # Errors
    /// Where a source as a whole cannot be read.
    pub fn open(sources: Vec<Source>, surroundings: Surroundings) -> Result<Self, LibraryError> {
        let mut state = State::default();
        let preparer = Arc::new(Preparer::new(surroundings.environments.clone()));
        let way = Way {
            surroundings: &surroundings,
            preparer: &preparer,
            again: false,
        };
        let part = load::load(&sources, &way, &mut state.cache)?;
        state.stamp = part.stamp.clone();
        let snapshot = part.into_snapshot();
        for left_out in &snapshot.left_out {
            tracing::warn!(skill = left_out.name, folder = %left_out.folder.display(), why = left_out.why, "left out");
        }
        Ok(Self {
            sources,
            surroundings,
            preparer,
            snapshot: RwLock::new(Arc::new(snapshot)),
            state: Mutex::new(state),
        })
    }

    /// The skills as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read();
        snapshot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether files changed, and reads what did; says whether there is a new snapshot. Touches
    /// files. A source that cannot be read for the moment leaves everything as it is.
    pub fn refresh(&self) -> bool {
        let mut state = self.lock();
        // Looked at first: what ends while the skills are loaded is news for the next time.
        let (prepared, is_due) = self.preparer.news();
        let again = is_due || prepared != state.prepared;
        match stamp::take(&self.sources, &state.cache) {
            Ok(stamp) if stamp == state.stamp && !again => return false,
            Ok(_) => {}
            Err(error) => return state.get_stuck(&error),
        }
        state.prepared = prepared;
        let way = Way {
            surroundings: &self.surroundings,
            preparer: &self.preparer,
            again,
        };
        match load::load(&self.sources, &way, &mut state.cache) {
            Ok(part) => {
                self.exchange(&mut state, part);
                true
            }
            Err(error) => state.get_stuck(&error),
        }
    }

    fn exchange(&self, state: &mut State, part: Part) {
        state.stamp = part.stamp.clone();
        state.is_stuck = false;
        let after = part.into_snapshot();
        let before = self.snapshot();
        for left_out in &after.left_out {
            if !before.left_out.contains(left_out) {
                tracing::warn!(skill = left_out.name, folder = %left_out.folder.display(), why = left_out.why, "left out");
            }
        }
        tracing::info!(
            skills = after.members.len(),
            "the skills have changed and are loaded anew"
        );
        let after = Arc::new(after);
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = after;
    }

    /// Waits until no Python packages are being prepared, and has the skills that need them; says whether it
    /// came so far in time.
    pub async fn settled(self: &Arc<Self>, at_most: Duration) -> bool {
        let library = self.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let is_settled = library.preparer.wait(at_most);
            library.refresh();
            is_settled
        });
        // A panic in there leaves the skills as they were.
        waiting.await.unwrap_or(false)
    }

    /// Refreshes `every` so often, until it is dropped.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let library = self.clone();
            // A panic is logged by the runtime's hook; the next round tries again.
            let _ = tokio::task::spawn_blocking(move || library.refresh()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Nothing new. Said once, and again after it had worked in between.
    fn get_stuck(&mut self, error: &LibraryError) -> bool {
        if !self.is_stuck {
            tracing::warn!(%error, "the skills stay as they were");
            self.is_stuck = true;
        }
        false
    }
}

impl From<IndexError> for LibraryError {
    fn from(error: IndexError) -> Self {
        Self::Store(error.into())
    }
}
