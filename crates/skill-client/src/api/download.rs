//! Fetching an archive: streamed, bounded, hashed on the way, resumed after a broken connection.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap, RANGE};
use sha2::Digest as _;
use skill_format::{Sha256, SkillName, Version};

use super::{ApiError, Client, refusal};
use crate::config::Secret;
use crate::fsx::{At as _, FsError};
use crate::http::{HttpError, Request, shown};

/// Most connections that one archive is worth, however much each of them brings.
const CONNECTIONS_MAX: u32 = 10;
/// Bytes read at once from what an earlier run left.
const CHUNK_BYTES: usize = 64 * 1024;

/// An archive to fetch, and what is known of it beforehand.
#[derive(Debug, Clone)]
pub struct Download {
    pub name: SkillName,
    pub version: Version,
    /// The digest that the archive must have.
    pub checksum: Sha256,
    /// The bytes that it must have.
    pub size: u64,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub received: u64,
    pub total: u64,
}

/// How one connection ended.
enum Ended {
    /// All announced bytes are there.
    Complete,
    /// Not all bytes are there, for a reason that may pass.
    Early(HttpError),
}

impl Client {
    /// Fetches an archive into `file` (which lies at `path`), going on where its content ends.
    ///
    /// When this returns without an error, the file holds exactly the bytes that `wanted` promises.
    /// After [`ApiError::Checksum`] it is empty; after another error it holds what arrived, for the
    /// next try.
    pub async fn download(
        &self,
        wanted: &Download,
        file: &mut File,
        path: PathBuf,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), ApiError> {
        let mut partial = Partial::open(file, path, wanted)?;
        let resumed = partial.received > 0;
        let mut result = self.download_into(wanted, &mut partial, progress).await;
        if resumed && matches!(result, Err(ApiError::Checksum { .. })) {
            // What an earlier run left may be what is wrong.
            result = self.download_into(wanted, &mut partial, progress).await;
        }
        result
    }

    async fn download_into(
        &self,
        wanted: &Download,
        partial: &mut Partial<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), ApiError> {
        let version = wanted.version.to_string();
        let url = self.url(&["skills", wanted.name.as_str(), &version, "download"]);
        let mut failures = 0;
        for _ in 0..CONNECTIONS_MAX {
            if partial.received == wanted.size {
                return partial.finish();
            }
            let before = partial.received;
            let failure = match self.receive(&url, partial, progress).await? {
                Ended::Complete => continue,
                Ended::Early(failure) => failure,
            };
            failures = if partial.received > before {
                0
            } else {
                failures + 1
            };
            let Some(wait) = self.http.options().retry.wait_after_failure(failures) else {
                return Err(failure.into());
            };
            tracing::debug!(%failure, received = partial.received, ?wait, "going on with a download");
            tokio::time::sleep(wait).await;
        }
        match partial.received == wanted.size {
            true => partial.finish(),
            false => Err(HttpError::TooManyConnections { url: shown(&url) }.into()),
        }
    }

    /// One connection: as many bytes as it brings.
    async fn receive(
        &self,
        url: &url::Url,
        partial: &mut Partial<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Ended, ApiError> {
        let mut request = Request::get(url.clone());
        if partial.received > 0 {
            request = request.header(RANGE, &format!("bytes={}-", partial.received));
        }
        let (mut response, from) = match self.open_as_user(request).await {
            Err(ApiError::Http(error)) if error.is_passing() => return Ok(Ended::Early(error)),
            result => result?,
        };
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            partial.restart()?;
            return Ok(Ended::Early(HttpError::Incomplete { url: shown(&from) }));
        }
        partial.position(response.status(), response.headers())?;
        if let Some(length) = response.content_length() {
            partial.check_announced(length)?;
        }
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => partial.write(&chunk)?,
                Ok(None) if partial.received < partial.wanted.size => {
                    return Ok(Ended::Early(HttpError::Incomplete { url: shown(&from) }));
                }
                Ok(None) => return Ok(Ended::Complete),
                Err(source) => return Ok(Ended::Early(HttpError::receiving(&from, source))),
            }
            progress(Progress {
                received: partial.received,
                total: partial.wanted.size,
            });
        }
    }

    /// Opens a GET with the user's token and with the patience that a busy registry asks for.
    async fn open_as_user(
        &self,
        request: Request,
    ) -> Result<(reqwest::Response, url::Url), ApiError> {
        if self.offline {
            return Err(ApiError::NeedsNetwork {
                registry: self.registry.url.to_string(),
            });
        }
        let registry = &self.registry.url;
        let mut token = self
            .session
            .token(registry, self.clock.now(), async |refresh| {
                self.renew(refresh).await
            })
            .await?;
        let mut renewed = false;
        let mut attempt = 0;
        loop {
            let request = match &token {
                Some(token) => request.clone().bearer(token.expose()),
                None => request.clone(),
            };
            let (response, url) = self.http.open(&request).await?;
            let status = response.status();
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok((response, url));
            }
            if let (StatusCode::UNAUTHORIZED, Some(refused), false) = (status, &token, renewed) {
                let renew = async |refresh: &Secret| self.renew(refresh).await;
                if let Some(other) = self
                    .session
                    .token_after_refusal(registry, refused, self.clock.now(), renew)
                    .await?
                {
                    (token, renewed) = (Some(other), true);
                    continue;
                }
            }
            let policy = &self.http.options().retry;
            match policy.wait_after_answer(
                attempt,
                &request,
                (status, response.headers()),
                self.clock.now(),
            )? {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    return Err(refusal(
                        status,
                        &response.bytes().await.unwrap_or_default(),
                        None,
                        // A store of archives may have answered, which is no registry anyway.
                        "",
                    ));
                }
            }
            attempt += 1;
        }
    }
}

/// The file that is being filled, with the digest of what it holds.
struct Partial<'a> {
    file: &'a mut File,
    path: PathBuf,
    wanted: &'a Download,
    hasher: sha2::Sha256,
    received: u64,
}

impl<'a> Partial<'a> {
    fn open(file: &'a mut File, path: PathBuf, wanted: &'a Download) -> Result<Self, FsError> {
        let mut partial = Self {
            file,
            path,
            wanted,
            hasher: sha2::Sha256::new(),
            received: 0,
        };
        partial.file.rewind().at("read", &partial.path)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = partial.file.read(&mut chunk).at("read", &partial.path)?;
            if read == 0 {
                break;
            }
            partial.hasher.update(&chunk[..read]);
            partial.received += read as u64;
        }
        if partial.received > wanted.size {
            partial.restart()?;
        }
        Ok(partial)
    }

    fn restart(&mut self) -> Result<(), FsError> {
        self.file.set_len(0).at("empty", &self.path)?;
        self.file.rewind().at("write", &self.path)?;
        self.hasher = sha2::Sha256::new();
        self.received = 0;
        Ok(())
    }

    /// Makes the file ready for what this answer brings: its rest, or all of it again.
    fn position(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<(), FsError> {
        let continues =
            status == StatusCode::PARTIAL_CONTENT && range_start(headers) == Some(self.received);
        if continues {
            self.file
                .seek(SeekFrom::Start(self.received))
                .at("write", &self.path)?;
            return Ok(());
        }
        self.restart()
    }

    /// A length that cannot be right is refused before anything is read.
    fn check_announced(&self, length: u64) -> Result<(), ApiError> {
        let found = self.received + length;
        match found == self.wanted.size {
            true => Ok(()),
            false => Err(ApiError::Size {
                what: self.what(),
                expected: self.wanted.size,
                found,
            }),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        let found = self.received + chunk.len() as u64;
        if found > self.wanted.size {
            self.restart()?;
            return Err(ApiError::Size {
                what: self.what(),
                expected: self.wanted.size,
                found,
            });
        }
        self.file.write_all(chunk).at("write", &self.path)?;
        self.hasher.update(chunk);
        self.received = found;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ApiError> {
        let found = Sha256::from_bytes(self.hasher.clone().finalize().into());
        if found == self.wanted.checksum {
            return Ok(());
        }
        self.restart()?;
        Err(ApiError::Checksum {
            what: self.what(),
            expected: self.wanted.checksum,
            found,
        })
    }

    fn what(&self) -> String {
        format!("{}@{}", self.wanted.name, self.wanted.version)
    }
}

/// The first byte of `bytes 5-9/10` (RFC 9110, section 14.4).
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}
