//! Downloads that break off, go on, lie about themselves, or find what an earlier run left.

use std::fs::File;
use std::path::PathBuf;

use skill_client::api::{ApiError, Download, Progress};
use skill_format::{Explain as _, Fault, Sha256};
use tempfile::TempDir;

use crate::faults::client;
use crate::raw_server::{Answer, RawServer};
use crate::support::name;

/// A download into a folder of its own.
struct Target {
    dir: TempDir,
    wanted: Download,
}

impl Target {
    fn of(bytes: &[u8]) -> Self {
        let wanted = Download {
            name: name("alpha"),
            version: "1.0.0".parse().expect("a version"),
            checksum: Sha256::of(bytes),
            size: bytes.len() as u64,
        };
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            wanted,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("partial")
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("a file")
    }

    async fn fetch(&self, url: &str) -> Result<Vec<Progress>, ApiError> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path())
            .expect("a file");
        let mut seen = Vec::new();
        client(url)
            .download(&self.wanted, &mut file, self.path(), &mut |progress| {
                seen.push(progress)
            })
            .await?;
        Ok(seen)
    }
}

/// Bytes that do not repeat.
fn archive() -> Vec<u8> {
    (0..40_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// The first byte that a request asks for.
fn asked_from(head: &str) -> Option<usize> {
    let line = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    line.and_then(|range| range.trim_end_matches('-').parse().ok())
}

#[tokio::test]
async fn a_download_goes_on_where_the_connection_broke() {
    let bytes = archive();
    let total = bytes.len();
    let server = RawServer::start(move |number, head| {
        let bytes = archive();
        let from = asked_from(head).unwrap_or(0);
        let length = (total - from).to_string();
        let range = format!("bytes {from}-{}/{total}", total - 1);
        let until = if number < 3 {
            (from + 30_000).min(total)
        } else {
            total
        };
        let status = if from > 0 { 206 } else { 200 };
        Answer::with(
            status,
            &[("Content-Length", &length), ("Content-Range", &range)],
            &bytes[from..until],
        )
    })
    .await;
    let target = Target::of(&bytes);
    let progress = target.fetch(&server.url).await.expect("completes");
    assert_eq!(target.content(), bytes);
    assert!(
        progress.is_sorted_by_key(|progress| progress.received),
        "nothing was fetched twice"
    );
    let asked: Vec<_> = server
        .requests()
        .iter()
        .map(|head| asked_from(head))
        .collect();
    assert!(
        asked.len() == 4 && asked[0].is_none() && asked[1..].iter().all(Option::is_some),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_start() {
    let bytes = archive();
    let server = RawServer::start(|number, _| {
        let bytes = archive();
        let sent = if number == 0 { 1000 } else { bytes.len() };
        Answer::with(
            200,
            &[("Content-Length", &bytes.len().to_string())],
            &bytes[..sent],
        )
    })
    .await;
    let target = Target::of(&bytes);
    target.fetch(&server.url).await.expect("completes");
    assert_eq!(target.content(), bytes);
}

#[tokio::test]
async fn an_end_without_a_length_is_not_taken_for_the_end() {
    let bytes = archive();
    let server = RawServer::start(|number, _| {
        let bytes = archive();
        Answer::with(
            200,
            &[],
            &bytes[..if number == 0 { 777 } else { bytes.len() }],
        )
    })
    .await;
    let target = Target::of(&bytes);
    target.fetch(&server.url).await.expect("completes");
    assert_eq!(target.content(), bytes);
}

#[tokio::test]
async fn wrong_bytes_are_thrown_away() {
    let bytes = archive();
    let server = RawServer::start(|_, _| {
        let mut bytes = archive();
        bytes[5] ^= 1;
        Answer::ok(&bytes)
    })
    .await;
    let target = Target::of(&bytes);
    let error = target.fetch(&server.url).await.expect_err("a lie");
    assert_eq!(
        (error.code(), error.fault()),
        ("checksum-mismatch", Fault::Denied)
    );
    assert!(target.content().is_empty());
}

#[tokio::test]
async fn a_length_that_cannot_be_right_is_refused() {
    let bytes = archive();
    for lie in [bytes.len() - 1, bytes.len() + 1] {
        let server = RawServer::start(move |_, _| {
            Answer::with(200, &[("Content-Length", &lie.to_string())], &archive())
        })
        .await;
        let error = Target::of(&bytes)
            .fetch(&server.url)
            .await
            .expect_err("a lie");
        assert_eq!(error.code(), "size-mismatch");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn more_bytes_than_announced_are_not_kept() {
    let bytes = archive();
    let server = RawServer::start(|_, _| {
        let mut more = archive();
        more.extend_from_slice(b"and more");
        Answer::with(200, &[], &more)
    })
    .await;
    let target = Target::of(&bytes);
    assert_eq!(
        target
            .fetch(&server.url)
            .await
            .expect_err("too much")
            .code(),
        "size-mismatch"
    );
    assert!(target.content().is_empty());
}

#[tokio::test]
async fn what_an_earlier_run_left_is_used_if_it_is_good_and_dropped_if_not() {
    let bytes = archive();
    let total = bytes.len();
    let server = RawServer::start(move |_, head| {
        let bytes = archive();
        match asked_from(head) {
            Some(from) => {
                let range = format!("bytes {from}-{}/{total}", total - 1);
                Answer::with(206, &[("Content-Range", &range)], &bytes[from..])
            }
            None => Answer::ok(&bytes),
        }
    })
    .await;
    let good = Target::of(&bytes);
    std::fs::write(good.path(), &bytes[..1234]).expect("write");
    good.fetch(&server.url).await.expect("completes");
    assert_eq!(
        (good.content(), server.requests().len()),
        (bytes.clone(), 1)
    );
    let bad = Target::of(&bytes);
    std::fs::write(bad.path(), b"something else").expect("write");
    bad.fetch(&server.url).await.expect("starts again");
    assert_eq!((bad.content(), server.requests().len()), (bytes, 3));
}

#[tokio::test]
async fn a_connection_that_breaks_for_ever_ends_the_download() {
    let bytes = archive();
    let server =
        RawServer::start(|_, _| Answer::with(200, &[("Content-Length", "160000")], b"")).await;
    let target = Target::of(&bytes);
    let error = target
        .fetch(&server.url)
        .await
        .expect_err("nothing arrives");
    assert_eq!(error.code(), "answer-broken-off");
    assert_eq!(
        server.requests().len(),
        3,
        "the first try and those that the policy allows"
    );
}
