//! A package is exactly one gzip member.

use skill_format::{Limits, SkillTree};

use super::build::{gzip, tar};
use super::{read, refusal};

fn package() -> Vec<u8> {
    gzip(&tar([]))
}

#[test]
fn one_member_is_read() {
    assert_eq!(read(&package()).expect("a good package").len(), 1);
}

#[test]
fn a_second_member_is_refused() {
    let mut bytes = package();
    bytes.extend(package());
    assert_eq!(refusal(&bytes).0, "archive-gzip-second-member");
}

#[test]
fn an_empty_second_member_is_refused() {
    let mut bytes = package();
    bytes.extend(gzip(b""));
    assert_eq!(refusal(&bytes).0, "archive-gzip-second-member");
}

#[test]
fn a_tar_split_over_two_members_is_refused() {
    let tar = tar([]);
    let mut bytes = gzip(&tar[..1024]);
    bytes.extend(gzip(&tar[1024..]));
    assert_eq!(refusal(&bytes).0, "archive-gzip-second-member");
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = package();
    bytes.push(b'x');
    assert_eq!(refusal(&bytes).0, "archive-gzip-trailing-bytes");
}

#[test]
fn trailing_zeros_are_refused() {
    let mut bytes = package();
    bytes.extend([0; 512]);
    assert_eq!(refusal(&bytes).0, "archive-gzip-trailing-bytes");
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = package();
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    assert_eq!(refusal(&bytes).0, "archive-gzip-checksum");
}

#[test]
fn a_wrong_length_is_refused() {
    let mut bytes = package();
    let at = bytes.len() - 4;
    bytes[at] ^= 1;
    assert_eq!(refusal(&bytes).0, "archive-gzip-length");
}

#[test]
fn corrupt_data_is_refused() {
    let mut bytes = package();
    // A block of the reserved type.
    bytes[10] = 0b111;
    assert_eq!(refusal(&bytes).0, "archive-gzip-corrupt");
}

#[test]
fn every_truncation_is_refused_as_such() {
    let bytes = package();
    for length in 2..bytes.len() {
        assert_eq!(
            refusal(&bytes[..length]).0,
            "archive-gzip-truncated",
            "cut to {length} bytes"
        );
    }
}

#[test]
fn reserved_flags_and_other_methods_are_refused() {
    for (at, value) in [(2, 7), (3, 0x20), (3, 0x80)] {
        let mut bytes = package();
        bytes[at] = value;
        assert_eq!(refusal(&bytes).0, "archive-gzip-header");
    }
}

#[test]
fn a_header_with_every_optional_field_is_read() {
    let package = package();
    let mut header = vec![0x1f, 0x8b, 8, 0b11110, 1, 2, 3, 4, 0, 3];
    header.extend([3, 0, b'a', b'b', b'c']);
    header.extend(b"name.tar\0a comment\0");
    let crc = crc32fast::hash(&header) as u16;
    header.extend(crc.to_le_bytes());
    let mut bytes = header.clone();
    bytes.extend(&package[10..]);
    assert_eq!(read(&bytes).expect("RFC 1952 allows all of this").len(), 1);

    let checksum = header.len() - 1;
    bytes[checksum] ^= 1;
    assert_eq!(refusal(&bytes).0, "archive-gzip-header");
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"---\nname: a\n---\n",
        b"\x1f",
        b"PK",
        b"\x28\xb5\x2f\xfd",
    ] {
        assert_eq!(refusal(bytes).0, "archive-unknown-format");
    }
}

#[test]
fn an_archive_above_the_limit_is_refused_unread() {
    let limits = Limits {
        archive_bytes_max: 10,
        ..Limits::default()
    };
    let error = SkillTree::read_archive(&[0; 11], &limits).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "the archive has 11 bytes, more than the 10 allowed"
    );
}
