//! Pins: which publisher's key a skill was signed with when it was first installed.
//!
//! A registry can be taken over, and so can an account on it. What it cannot change is the key that
//! this machine saw first. A skill that comes with another key later is refused until a person says
//! that the change is right ([`Pins::trust`]); what was before stays in the history.
//!
//! One JSON file, replaced atomically under a lock. Fields that this version does not know are kept.
//!
//! ```json
//! {"version": 1, "pins": [{"registry": "https://hub.example.org", "skill": "csv-analyzer",
//!   "fingerprint": "0123…", "firstSeen": "2026-01-01T00:00:00Z", "history": []}]}
//! ```

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skill_format::{Explain, Fault, Place};

use crate::files::{self, Access, FileError, JsonError};
use crate::fingerprint::Fingerprint;

const VERSION: u64 = 1;

/// The file of pins of a store.
#[derive(Debug, Clone)]
pub struct Pins {
    path: PathBuf,
}

/// The key of one skill of one registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The registry's address, without a slash at the end.
    pub registry: String,
    pub skill: String,
    /// The publisher's primary key.
    pub fingerprint: Fingerprint,
    /// When a skill signed by this key was first accepted.
    pub first_seen: Timestamp,
    /// The keys before, oldest first.
    #[serde(default)]
    pub history: Vec<FormerKey>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// A key that was replaced by [`Pins::trust`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerKey {
    pub fingerprint: Fingerprint,
    pub first_seen: Timestamp,
    pub replaced_at: Timestamp,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// What a pin says to a key.
#[derive(Debug, Clone, PartialEq)]
pub enum PinCheck {
    /// There is no pin yet.
    New,
    Matches,
    /// The skill was signed by another key before: do not install.
    Changed {
        old: Pin,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u64,
    pins: Vec<Pin>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: VERSION,
            pins: Vec::new(),
            unknown: Map::new(),
        }
    }
}

impl Document {
    fn pin(&mut self, registry: &str, skill: &str) -> Option<&mut Pin> {
        self.pins
            .iter_mut()
            .find(|pin| pin.registry == registry && pin.skill == skill)
    }

    fn add(&mut self, registry: &str, skill: &str, fingerprint: &Fingerprint, now: Timestamp) {
        self.pins.push(Pin {
            registry: registry.to_owned(),
            skill: skill.to_owned(),
            fingerprint: fingerprint.clone(),
            first_seen: now,
            history: Vec::new(),
            unknown: Map::new(),
        });
        let name = |pin: &Pin| (pin.registry.clone(), pin.skill.clone());
        self.pins.sort_by_key(name);
    }
}

impl Pins {
    /// The pins in the file `path`, which need not exist yet.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// All pins, sorted by registry and skill.
    pub fn list(&self) -> Result<Vec<Pin>, PinError> {
        Ok(self.read()?.pins)
    }

    /// Compares a key with the pin of a skill. Changes nothing.
    pub fn check(
        &self,
        registry: &str,
        skill: &str,
        fingerprint: &Fingerprint,
    ) -> Result<PinCheck, PinError> {
        Ok(compare(
            self.read()?.pin(normal(registry), skill),
            fingerprint,
        ))
    }

    /// Compares a key with the pin of a skill, and pins it if there is none. Of two processes that
    /// do this at once, one gets [`PinCheck::New`] and the other is compared with it.
    pub fn check_or_pin(
        &self,
        registry: &str,
        skill: &str,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<PinCheck, PinError> {
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let registry = normal(registry);
        let check = compare(document.pin(registry, skill), fingerprint);
        if check == PinCheck::New {
            document.add(registry, skill, fingerprint, now);
            self.write(&document)?;
        }
        Ok(check)
    }

    /// Accepts a key as the signer of a skill from now on. The former key goes into the history
    /// and is returned.
    pub fn trust(
        &self,
        registry: &str,
        skill: &str,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Fingerprint>, PinError> {
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let registry = normal(registry);
        let old = match document.pin(registry, skill) {
            None => {
                document.add(registry, skill, fingerprint, now);
                None
            }
            Some(pin) if pin.fingerprint == *fingerprint => return Ok(None),
            Some(pin) => {
                let old = std::mem::replace(&mut pin.fingerprint, fingerprint.clone());
                let first_seen = std::mem::replace(&mut pin.first_seen, now);
                pin.history.push(FormerKey {
                    fingerprint: old.clone(),
                    first_seen,
                    replaced_at: now,
                    unknown: Map::new(),
                });
                Some(old)
            }
        };
        self.write(&document)?;
        Ok(old)
    }

    fn read(&self) -> Result<Document, PinError> {
        files::read_json(&self.path, VERSION).map_err(|error| PinError::new(&self.path, error))
    }

    fn write(&self, document: &Document) -> Result<(), PinError> {
        files::write_json(&self.path, document, Access::Everyone)
            .map_err(|error| PinError::new(&self.path, error))
    }

    fn lock(&self) -> Result<files::Lock, PinError> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        files::lock(&self.path.with_file_name(name)).map_err(PinError::File)
    }
}

fn normal(registry: &str) -> &str {
    registry.trim_end_matches('/')
}

fn compare(pin: Option<&mut Pin>, fingerprint: &Fingerprint) -> PinCheck {
    match pin {
        None => PinCheck::New,
        Some(pin) if pin.fingerprint == *fingerprint => PinCheck::Matches,
        Some(pin) => PinCheck::Changed { old: pin.clone() },
    }
}

/// Why the pins cannot be read or changed. Never an excuse to install without them.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    #[error(transparent)]
    File(FileError),
    #[error("the pins in {} are damaged: {detail}", path.display())]
    Malformed { path: PathBuf, detail: String },
    #[error("the pins in {} have the format version {found}, this program knows {VERSION}", path.display())]
    Version { path: PathBuf, found: u64 },
}

impl PinError {
    fn new(path: &Path, error: JsonError) -> Self {
        match error {
            JsonError::File(error) => Self::File(error),
            JsonError::Malformed(detail) => Self::Malformed {
                path: path.to_owned(),
                detail,
            },
            JsonError::Version(found) => Self::Version {
                path: path.to_owned(),
                found,
            },
        }
    }
}

impl Explain for PinError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "pins-io",
            Self::Malformed { .. } => "pins-malformed",
            Self::Version { .. } => "pins-version",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(_) => Fault::Internal,
            Self::Malformed { .. } | Self::Version { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Malformed { .. } => Some(
                "restore the file from a backup; without it every skill's signer counts as new"
                    .into(),
            ),
            Self::Version { .. } => Some("update this program".into()),
        }
    }

    fn place(&self) -> Option<Place> {
        let path = match self {
            Self::File(error) => error.path(),
            Self::Malformed { path, .. } | Self::Version { path, .. } => path,
        };
        Some(Place {
            file: Some(path.display().to_string()),
            line: None,
            field: None,
        })
    }
}
