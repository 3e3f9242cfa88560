//! Writes a tree as `.spm`: a gzip-compressed tar whose bytes depend on the tree alone.
//!
//! - `SKILL.md` comes first, so that a reader may have it early; then every other file in
//!   ascending order of its path's bytes. Folders follow from the paths and have no entries.
//! - Headers are POSIX ustar: mode 0644 or 0755, no owner, no time. A path that ustar cannot hold
//!   (not ASCII, or too long to be split) gets an extended header with nothing but `path`.
//! - Two zero blocks end the tar. No filling up to a record follows.
//! - The gzip header has no time, no name and no system.
//! - The compressor is pure Rust without machine-specific paths, and pinned to an exact version:
//!   another version may find other matches. A test holds the digest of a packed tree.

use miniz_oxide::deflate::compress_to_vec;

use super::gzip;
use super::header::{self, BLOCK_BYTES, Block, put_number};
use super::pax;
use crate::tree::{SKILL_MD, SkillFile, SkillTree};

/// As `gzip -6`.
const COMPRESSION_LEVEL: u8 = 6;
/// What stands before a block that is not compressed.
const STORED_HEADER_BYTES: usize = 5;
/// "Unknown", RFC 1952, section 2.3.1.
const GZIP_SYSTEM_UNKNOWN: u8 = 255;

const MODE_PLAIN: u64 = 0o644;
const MODE_EXECUTABLE: u64 = 0o755;

/// What programs that do not know extended headers call them: they unpack them as files.
const EXTENDED_NAME: &str = "PaxHeader";

/// See [`SkillTree::pack`].
pub(crate) fn pack(tree: &SkillTree) -> Vec<u8> {
    let tar = tar(tree);
    gzip_member(&tar, &compress_to_vec(&tar, COMPRESSION_LEVEL))
}

/// See [`SkillTree::pack_stored`].
pub(crate) fn pack_stored(tree: &SkillTree) -> Vec<u8> {
    let tar = tar(tree);
    gzip_member(&tar, &store_to_vec(&tar))
}

/// Deflate's blocks without compression (RFC 1951, section 3.2.4).
fn store_to_vec(content: &[u8]) -> Vec<u8> {
    let blocks = content.chunks(usize::from(u16::MAX));
    let mut stored = Vec::with_capacity(content.len() + blocks.len() * STORED_HEADER_BYTES);
    let last = blocks.len().saturating_sub(1);
    for (number, block) in blocks.enumerate() {
        // At most `u16::MAX`, as a chunk is.
        let length = block.len() as u16;
        stored.push(u8::from(number == last));
        stored.extend_from_slice(&length.to_le_bytes());
        stored.extend_from_slice(&(!length).to_le_bytes());
        stored.extend_from_slice(block);
    }
    stored
}

fn gzip_member(content: &[u8], deflated: &[u8]) -> Vec<u8> {
    let [m0, m1] = gzip::MAGIC;
    let header: [u8; gzip::HEADER_BYTES] = [
        m0,
        m1,
        gzip::METHOD_DEFLATE,
        0,
        0,
        0,
        0,
        0,
        0,
        GZIP_SYSTEM_UNKNOWN,
    ];
    let mut member = header.to_vec();
    member.extend_from_slice(deflated);
    member.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    // Modulo 2^32, as the format has it.
    member.extend_from_slice(&(content.len() as u32).to_le_bytes());
    member
}

fn tar(tree: &SkillTree) -> Vec<u8> {
    let mut tar = Vec::new();
    let first = tree.get(SKILL_MD).map(|file| (SKILL_MD, file));
    for (path, file) in first
        .into_iter()
        .chain(tree.iter().filter(|(path, _)| *path != SKILL_MD))
    {
        put_file(&mut tar, path, file);
    }
    tar.resize(tar.len() + 2 * BLOCK_BYTES, 0);
    tar
}

fn put_file(tar: &mut Vec<u8>, path: &str, file: &SkillFile) {
    let mode = if file.executable {
        MODE_EXECUTABLE
    } else {
        MODE_PLAIN
    };
    let (prefix, name) = split_for_ustar(path).unwrap_or_else(|| {
        put_entry(
            tar,
            "",
            EXTENDED_NAME,
            b'x',
            MODE_PLAIN,
            &pax::path_record(path),
        );
        ("", EXTENDED_NAME)
    });
    put_entry(tar, prefix, name, b'0', mode, &file.bytes);
}

fn put_entry(tar: &mut Vec<u8>, prefix: &str, name: &str, kind: u8, mode: u64, content: &[u8]) {
    let mut block: Block = [0; BLOCK_BYTES];
    header::NAME.of_mut(&mut block)[..name.len()].copy_from_slice(name.as_bytes());
    header::PREFIX.of_mut(&mut block)[..prefix.len()].copy_from_slice(prefix.as_bytes());
    header::TYPE.of_mut(&mut block)[0] = kind;
    header::MAGIC
        .of_mut(&mut block)
        .copy_from_slice(header::MAGIC_USTAR);
    put_number(&mut block, header::MODE, mode);
    put_number(&mut block, header::SIZE, content.len() as u64);
    for field in [
        header::UID,
        header::GID,
        header::MTIME,
        header::DEVICE_MAJOR,
        header::DEVICE_MINOR,
    ] {
        put_number(&mut block, field, 0);
    }
    let checksum = header::checksum(&block);
    put_number(&mut block, header::CHECKSUM, checksum.into());
    tar.extend_from_slice(&block);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
}

/// `path` as ustar's two fields, cut at a slash where one field is too short for it.
fn split_for_ustar(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= header::NAME.len() {
        return Some(("", path));
    }
    // The first slash that leaves a short enough name also gives the shortest prefix.
    let shortest = path.len() - header::NAME.len() - 1;
    let at = shortest + path[shortest..].find('/')?;
    (at <= header::PREFIX.len()).then(|| (&path[..at], &path[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_only_where_both_parts_fit() {
        let name = "n".repeat(100);
        assert_eq!(split_for_ustar(&name), Some(("", name.as_str())));
        assert_eq!(split_for_ustar(&"n".repeat(101)), None);
        let prefix = "p".repeat(155);
        assert_eq!(
            split_for_ustar(&format!("{prefix}/{name}")),
            Some((prefix.as_str(), name.as_str()))
        );
        assert_eq!(split_for_ustar(&format!("{prefix}p/{name}")), None);
        assert_eq!(
            split_for_ustar(&format!("a/{name}")),
            Some(("a", name.as_str()))
        );
        assert_eq!(split_for_ustar("é"), None);
    }
}
