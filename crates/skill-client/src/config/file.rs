//! The file that holds the configuration: read whole, changed under its lock.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError};
use crate::fsx::{self, FileLock};

/// The file on disk.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    /// `path` need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content; the defaults if there is no file.
    pub fn read(&self) -> Result<Config, ConfigError> {
        match fsx::read_optional(&self.path)? {
            None => Ok(Config::default()),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|source| ConfigError::Invalid {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Changes the file under its lock: no change of another process is lost. Nothing is written
    /// if `change` fails.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut Config) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        self.make_folder()?;
        let _lock =
            FileLock::exclusive_blocking(&self.lock_path(), "changing the configuration", |_| {})?;
        self.update_locked(change)
    }

    /// The lock that guards the file, for a change that has to ask the network in between.
    pub(crate) async fn lock(&self) -> Result<FileLock, ConfigError> {
        self.make_folder()?;
        Ok(FileLock::exclusive(&self.lock_path(), "renewing a session", |_| {}).await?)
    }

    /// Like [`ConfigFile::update`], for a caller that holds the lock.
    pub(crate) fn update_locked<T>(
        &self,
        change: impl FnOnce(&mut Config) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let mut config = self.read()?;
        let result = change(&mut config)?;
        let mut text =
            serde_json::to_vec_pretty(&config).map_err(|source| ConfigError::Invalid {
                path: self.path.clone(),
                source,
            })?;
        text.push(b'\n');
        // 0600: it holds tokens.
        fsx::write_atomic(&self.path, &text, 0o600)?;
        Ok(result)
    }

    fn make_folder(&self) -> Result<(), ConfigError> {
        if let Some(dir) = self.path.parent() {
            fsx::create_dir_all(dir, true)?;
        }
        Ok(())
    }

    fn lock_path(&self) -> PathBuf {
        self.path.with_file_name(".config.lock")
    }
}
