//! The store, the cache, and what belongs to the user: files as they were installed, keys,
//! configuration.

use std::path::{Path, PathBuf};

use skill_signing::{Keyring, Pins};

use super::{Case, Symptom};
use crate::fsx::FileLock;
use crate::store::Drift;

impl Case<'_> {
    pub(super) fn examine_store(&mut self) {
        let store = self.doctor.store;
        let mut found = Vec::new();
        for skill in self.index.skills() {
            let subject = format!("{} {}", skill.name, skill.version);
            let reinstall = format!("skills install --force {}", skill.name);
            found.extend(match store.drift(skill) {
                Drift::None => None,
                Drift::Missing => Some(
                    Symptom::error("files-missing", subject, "its folder in the store is gone")
                        .mendable(&format!(
                            "puts it back if the cache has it; else: {reinstall}"
                        )),
                ),
                Drift::Changed => Some(
                    Symptom::warning(
                        "files-changed",
                        subject,
                        "its files were changed since it was installed",
                    )
                    .fix(format!(
                        "`skills audit` shows which; {reinstall} puts the original back"
                    )),
                ),
                Drift::Unreadable(reason) => {
                    Some(Symptom::error("files-unreadable", subject, reason).fix(reinstall))
                }
                Drift::Unknown => Some(
                    Symptom::info(
                        "files-unknown",
                        subject,
                        "what was installed is not recorded, so changes cannot be seen",
                    )
                    .fix(reinstall),
                ),
            });
        }
        for entry in self.index.unreadable() {
            let subject = store.index_path().display().to_string();
            let text = format!("an entry cannot be understood: {}", entry.problem);
            found.push(
                Symptom::warning("index-entry-unreadable", subject, text)
                    .fix("update this program if a newer one wrote it, else remove the entry"),
            );
        }
        if is_interrupted(store.dir()) {
            let subject = store.dir().display().to_string();
            found.push(
                Symptom::warning(
                    "store-interrupted",
                    subject,
                    "a change to it was interrupted",
                )
                .mendable("finishes or undoes it, and so does the next install"),
            );
        }
        self.symptoms.extend(found);
    }

    /// What the cache holds of the installed skills: what an offline reinstall is made from.
    pub(super) fn examine_cache(&mut self) {
        let cache = self.doctor.cache;
        let mut found = Vec::new();
        for skill in self.index.skills() {
            for path in cache.damaged(&skill.checksum, skill.digest.as_ref()) {
                let text = format!(
                    "what it keeps of {} {} is damaged",
                    skill.name, skill.version
                );
                found.push(
                    Symptom::warning("cache-damaged", path.display().to_string(), text)
                        .mendable("removes it; it is downloaded again when it is needed"),
                );
            }
        }
        self.symptoms.extend(found);
    }

    pub(super) fn examine_user(&mut self) {
        let doctor = self.doctor;
        if let Err(error) = doctor.keyring.list() {
            let subject = doctor.keyring.folder().display().to_string();
            self.symptoms.push(
                Symptom::error("keyring-unreadable", subject, error.to_string())
                    .fix("move the damaged file away and import the key again: skills key import"),
            );
        }
        if let Err(error) = Pins::open(doctor.pins_file).list() {
            let subject = doctor.pins_file.display().to_string();
            let text = format!("{error}; nothing that is signed can be installed");
            self.symptoms.push(
                Symptom::error("pins-unreadable", subject, text).fix(
                    "restore it from a backup; or move it away: every signer then counts as seen for the first time",
                ),
            );
        }
        for path in exposed_secrets(doctor.keyring) {
            let subject = path.display().to_string();
            self.symptoms.push(
                Symptom::warning(
                    "key-exposed",
                    subject,
                    "it holds secret keys, and others can read it",
                )
                .mendable("makes it yours alone"),
            );
        }
        if others_can_read(doctor.config_file) {
            let subject = doctor.config_file.display().to_string();
            self.symptoms.push(
                Symptom::warning(
                    "config-exposed",
                    subject,
                    "it can hold tokens, and others can read it",
                )
                .mendable("makes it yours alone, as does chmod 600"),
            );
        }
    }
}

/// Whether something was left half done. What is being done right now looks the same, but then
/// the store is locked.
fn is_interrupted(store: &Path) -> bool {
    let staged = crate::fsx::entry_names(&store.join(".staging"));
    staged.is_ok_and(|names| !names.is_empty())
        && !matches!(
            FileLock::try_exclusive(&store.join(".lock"), "skills doctor"),
            Ok(Err(_))
        )
}

/// Secret keys, and their folder, that others can read.
pub(super) fn exposed_secrets(keyring: &Keyring) -> Vec<PathBuf> {
    let folder = keyring.folder().join("secret");
    let names = crate::fsx::entry_names(&folder).unwrap_or_default();
    let files = names.into_iter().map(|name| folder.join(name));
    let mut paths: Vec<PathBuf> = std::iter::once(folder.clone()).chain(files).collect();
    paths.retain(|path| others_can_read(path));
    paths
}

pub(super) fn others_can_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}
