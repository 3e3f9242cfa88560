//! Where advisories come from: a file, a folder of files, or an address. One that is bad is
//! reported with its file and field, and does not hide the others.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use skill_format::{Diagnostic, Explain, Fault, Place};
use url::Url;
use walkdir::WalkDir;

use super::osv::{Advisory, read_entry};
use crate::clock::Clock;
use crate::http::{Http, HttpError, HttpOptions, Request};

/// Largest file or answer that is read, in bytes: a whole database in one file fits.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Advisories, and what was wrong with those that could not be read.
#[derive(Debug, Clone, Default)]
pub struct Advisories {
    pub advisories: Vec<Advisory>,
    pub problems: Vec<Diagnostic>,
    /// Of `advisories`: the same one may be in several files.
    ids: BTreeSet<String>,
}

/// Why advisories cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdvisoryError {
    #[error("{} cannot be read: {source}", .path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} holds no advisories: no file in it ends in .json or .jsonl", .folder.display())]
    Empty { folder: PathBuf },
    #[error("{file} is larger than {BYTES_MAX} bytes")]
    TooLarge { file: String },
    #[error("{file} is not JSON: {source}")]
    NotJson {
        file: String,
        source: serde_json::Error,
    },
    #[error("{file} is not an OSV advisory: {problem}")]
    NotOsv {
        file: String,
        field: String,
        problem: String,
    },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{url} answers with status {status}")]
    Status { url: String, status: u16 },
}

impl Explain for AdvisoryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Http(error) => error.code(),
            Self::Status { .. } => "advisories-refused",
            Self::File { .. } | Self::Empty { .. } => "advisories-unreadable",
            Self::TooLarge { .. } | Self::NotJson { .. } | Self::NotOsv { .. } => {
                "advisories-invalid"
            }
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Http(error) => error.fault(),
            _ => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            // The general advice is about registries.
            Self::Http(_) => {
                "check the address, or save the advisories to a file and name that".into()
            }
            Self::File { .. } => "check the path and its permissions".into(),
            Self::Status { .. } => "check the address".into(),
            Self::TooLarge { .. } => "split it into several files".into(),
            Self::Empty { .. } | Self::NotJson { .. } | Self::NotOsv { .. } => {
                "give OSV entries (https://ossf.github.io/osv-schema): one per file, a JSON list, or one per line".into()
            }
        })
    }

    fn place(&self) -> Option<Place> {
        let (file, line, field) = match self {
            Self::File { path, .. } | Self::Empty { folder: path } => {
                (path.display().to_string(), None, None)
            }
            Self::TooLarge { file } => (file.clone(), None, None),
            Self::NotJson { file, source } => {
                (file.clone(), u32::try_from(source.line()).ok(), None)
            }
            Self::NotOsv { file, field, .. } => (
                file.clone(),
                None,
                Some(field.clone()).filter(|field| !field.is_empty()),
            ),
            Self::Http(_) | Self::Status { .. } => return None,
        };
        Some(Place {
            file: Some(file),
            line: line.filter(|line| *line > 0),
            field,
        })
    }
}

impl Advisories {
    /// Adds the advisories of a file, or of all `.json` and `.jsonl` files below a folder.
    pub fn add_path(&mut self, path: &Path) -> Result<(), AdvisoryError> {
        if !path.is_dir() {
            self.add(&path.display().to_string(), &read(path)?);
            return Ok(());
        }
        let mut found = false;
        for entry in WalkDir::new(path).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    self.problem(&file_error(&at, error.into()));
                    continue;
                }
            };
            let ending = entry.path().extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some("json" | "jsonl")) || !entry.path().is_file() {
                continue;
            }
            found = true;
            match read(entry.path()) {
                Ok(bytes) => self.add(&entry.path().display().to_string(), &bytes),
                Err(error) => self.problem(&error),
            }
        }
        if found {
            Ok(())
        } else {
            Err(AdvisoryError::Empty {
                folder: path.to_owned(),
            })
        }
    }

    /// Adds the advisories at an address.
    pub async fn add_url(
        &mut self,
        url: &Url,
        options: HttpOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(), AdvisoryError> {
        let request = Request::get(url.clone());
        let reply = Http::new(options, clock).fetch(&request, BYTES_MAX).await?;
        let shown = crate::http::shown(&reply.url);
        if !reply.status.is_success() {
            return Err(AdvisoryError::Status {
                url: shown,
                status: reply.status.as_u16(),
            });
        }
        self.add(&shown, &reply.body);
        Ok(())
    }

    /// Adds one entry, a JSON list of entries, `{"vulns": […]}` or one entry per line. `file` is
    /// what problems call it.
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        let mut count = 0;
        for document in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
            let document = match document {
                Ok(document) => document,
                Err(source) => {
                    let file = file.to_owned();
                    return self.problem(&AdvisoryError::NotJson { file, source });
                }
            };
            match document {
                Value::Array(entries) => self.add_all(file, "", &entries),
                Value::Object(object) if object.contains_key("vulns") => {
                    match object.get("vulns").and_then(Value::as_array) {
                        Some(entries) => self.add_all(file, "vulns", entries),
                        None => self.problem(&AdvisoryError::NotOsv {
                            file: file.to_owned(),
                            field: "vulns".into(),
                            problem: "this is a list".into(),
                        }),
                    }
                }
                entry => self.add_entry(file, "", &entry),
            }
            count += 1;
        }
        if count == 0 {
            self.problem(&AdvisoryError::NotOsv {
                file: file.to_owned(),
                field: String::new(),
                problem: "it is empty".into(),
            });
        }
    }

    fn add_all(&mut self, file: &str, list: &str, entries: &[Value]) {
        for (number, entry) in entries.iter().enumerate() {
            self.add_entry(file, &format!("{list}[{number}]."), entry);
        }
    }

    /// `within` is where the entry stands in its file, with a dot at its end.
    fn add_entry(&mut self, file: &str, within: &str, entry: &Value) {
        match read_entry(entry) {
            Ok(advisory) => {
                if self.ids.insert(advisory.id.clone()) {
                    self.advisories.push(advisory);
                }
            }
            Err(mistake) => self.problem(&AdvisoryError::NotOsv {
                file: file.to_owned(),
                field: format!("{within}{}", mistake.field)
                    .trim_end_matches('.')
                    .to_owned(),
                problem: mistake.problem,
            }),
        }
    }

    fn problem(&mut self, error: &AdvisoryError) {
        self.problems.push(Diagnostic::of_error(error));
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AdvisoryError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| file_error(path, source))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(AdvisoryError::TooLarge {
            file: path.display().to_string(),
        });
    }
    Ok(bytes)
}

fn file_error(path: &Path, source: std::io::Error) -> AdvisoryError {
    AdvisoryError::File {
        path: path.to_owned(),
        source,
    }
}
