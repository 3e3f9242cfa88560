//! No limit is ever exceeded, and none refuses what just fits.

use skill_format::{ArchiveError, Limits, SkillTree};

use super::build::{TarEntry, ZipEntry, gzip, tar, tar_gz, zip};
use super::{blames, refusal_within};

const SKILL_MD_BYTES: u64 = 16;

fn file(name: &str, bytes: usize) -> TarEntry {
    TarEntry::new(name, b'0', vec![b'x'; bytes])
}

fn read_both(limits: &Limits, files: &[(&str, usize)]) -> Result<SkillTree, ArchiveError> {
    let tar = SkillTree::read_archive(
        &tar_gz(files.iter().map(|(name, bytes)| file(name, *bytes))),
        limits,
    );
    let entries = files
        .iter()
        .map(|(name, bytes)| ZipEntry::new(name, vec![b'x'; *bytes], 8));
    let zip = SkillTree::read_archive(
        &zip(&std::iter::once(ZipEntry::skill_md())
            .chain(entries)
            .collect::<Vec<_>>()),
        limits,
    );
    assert_eq!(tar, zip, "zip and tar must agree");
    tar
}

fn refused(limits: &Limits, files: &[(&str, usize)]) -> (&'static str, Option<String>) {
    use skill_format::Explain as _;
    let error = read_both(limits, files).expect_err("over the limit");
    (error.code(), error.place().and_then(|place| place.file))
}

#[test]
fn a_file_may_be_as_large_as_the_limit() {
    let limits = Limits {
        file_bytes_max: 100,
        ..Limits::default()
    };
    read_both(&limits, &[("a", 100)]).expect("it just fits");
    assert_eq!(
        refused(&limits, &[("a", 101)]),
        blames("limit-file-size", "a")
    );
}

#[test]
fn the_files_may_add_up_to_the_limit() {
    let limits = Limits {
        unpacked_bytes_max: SKILL_MD_BYTES + 200,
        ..Limits::default()
    };
    read_both(&limits, &[("a", 100), ("b", 100)]).expect("it just fits");
    assert_eq!(
        refused(&limits, &[("a", 100), ("b", 101)]).0,
        "limit-total-size"
    );
}

#[test]
fn there_may_be_as_many_files_as_the_limit() {
    let limits = Limits {
        files_max: 3,
        ..Limits::default()
    };
    read_both(&limits, &[("a", 1), ("b", 1)]).expect("it just fits");
    assert_eq!(
        refused(&limits, &[("a", 1), ("b", 1), ("c", 1)]).0,
        "limit-file-count"
    );
}

#[test]
fn folders_are_counted_too() {
    let limits = Limits {
        files_max: 3,
        ..Limits::default()
    };
    let folders =
        |count: usize| (0..count).map(|index| TarEntry::new(format!("d{index}/"), b'5', ""));
    let room = limits.entries_max() - 1;
    SkillTree::read_archive(&tar_gz(folders(room)), &limits).expect("it just fits");
    assert_eq!(
        refusal_within(&tar_gz(folders(room + 1)), &limits).0,
        "limit-entry-count"
    );
    let entries: Vec<_> = (0..=room)
        .map(|index| ZipEntry::new(format!("d{index}/"), "", 0).with(|entry| entry.attributes = 0))
        .collect();
    assert_eq!(
        refusal_within(
            &zip(&[&entries[..], &[ZipEntry::skill_md()]].concat()),
            &limits
        )
        .0,
        "limit-entry-count"
    );
}

/// What the reader held at most when it gave up, seen through the limit that stopped it: the
/// archive claims 8 GiB, and its data is never inflated beyond the first buffers.
#[test]
fn a_huge_claim_is_refused_before_anything_is_inflated() {
    let claim = TarEntry::file("a").size(0o77_777_777_777);
    assert_eq!(
        refusal_within(&tar_gz([claim]), &Limits::default()),
        blames("limit-file-size", "a")
    );
}

#[test]
fn a_bomb_of_zeros_is_stopped_by_its_ratio() {
    let limits = Limits {
        ratio_max: 10,
        unpacked_bytes_max: 1 << 30,
        file_bytes_max: 1 << 30,
        ..Limits::default()
    };
    let bytes = tar_gz([file("a", 11 << 20)]);
    assert!(bytes.len() < 64 << 10, "it is a bomb");
    assert_eq!(refusal_within(&bytes, &limits).0, "archive-bomb");
}

#[test]
fn a_small_archive_is_no_bomb_whatever_its_ratio() {
    let limits = Limits {
        ratio_max: 1,
        ..Limits::default()
    };
    SkillTree::read_archive(&tar_gz([file("a", 9 << 20)]), &limits)
        .expect("nine megabytes hurt nobody");
}

#[test]
fn a_bomb_behind_the_end_of_the_tar_is_stopped() {
    let mut bytes = tar([]);
    bytes.resize(Limits::RATIO_FREE_BYTES as usize + 1, 0);
    assert_eq!(
        refusal_within(&gzip(&bytes), &Limits::default()).0,
        "archive-bomb"
    );
}

#[test]
fn a_bomb_of_metadata_is_stopped() {
    // Global headers count as no entry, but what they inflate to is counted.
    let comment = vec![b'x'; 60_000];
    let record = [b"60015 comment=".as_slice(), &comment, b"\n"].concat();
    assert_eq!(record.len(), 60_015);
    let headers = |count| tar_gz((0..count).map(|_| TarEntry::new("g", b'g', &record)));
    let limits = Limits {
        files_max: 1,
        unpacked_bytes_max: 1000,
        ..Limits::default()
    };
    SkillTree::read_archive(&headers(10), &limits).expect("some metadata is allowed");
    assert_eq!(refusal_within(&headers(30), &limits).0, "limit-total-size");
}

#[test]
fn a_bomb_of_many_names_is_stopped_by_the_number_of_entries() {
    let entries = (0..3000).map(|index| TarEntry::new(format!("d{index}/"), b'5', ""));
    assert_eq!(
        refusal_within(&tar_gz(entries), &Limits::default()).0,
        "limit-entry-count"
    );
}
