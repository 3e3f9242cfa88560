//! Writes a zip (PKWARE APPNOTE 6.3): deflated files, UTF-8 names, Unix modes, no times, so that
//! the same files give the same bytes. Reading is done in `archive/`.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::tree::SkillFile;

/// "Version needed to extract": 2.0, for deflate.
const VERSION: u16 = 20;
/// "Version made by": 2.0 on Unix, so that the mode is read.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const DEFLATE: u16 = 8;
/// 1980-01-01, the earliest date there is.
const DATE: u16 = 1 << 5 | 1;

/// The files under one top folder. `None` beyond what the format holds without its 64-bit
/// extension: 65,535 files or 4 GiB.
pub(super) fn write<'a>(
    top: &str,
    files: impl Iterator<Item = (&'a str, &'a SkillFile)>,
) -> Option<Vec<u8>> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    let mut count: u16 = 0;
    for (path, file) in files {
        let name = format!("{top}/{path}");
        let offset = u32::try_from(archive.len()).ok()?;
        let data = deflate(&file.bytes)?;
        let common = common_fields(&name, file, &data)?;
        push(
            &mut archive,
            &[b"PK\x03\x04", &common, name.as_bytes(), &data],
        );
        let type_and_mode: u32 = if file.executable {
            0o100_755
        } else {
            0o100_644
        };
        push(
            &mut directory,
            &[
                b"PK\x01\x02",
                &MADE_BY.to_le_bytes(),
                &common,
                // Comment length, disk, internal attributes.
                &[0; 6],
                &(type_and_mode << 16).to_le_bytes(),
                &offset.to_le_bytes(),
                name.as_bytes(),
            ],
        );
        count = count.checked_add(1)?;
    }
    let offset = u32::try_from(archive.len()).ok()?;
    let size = u32::try_from(directory.len()).ok()?;
    archive.append(&mut directory);
    let count = count.to_le_bytes();
    let end: [&[u8]; 7] = [
        b"PK\x05\x06",
        // This disk, and the disk with the directory.
        &[0; 4],
        &count,
        &count,
        &size.to_le_bytes(),
        &offset.to_le_bytes(),
        // Comment length.
        &[0; 2],
    ];
    push(&mut archive, &end);
    Some(archive)
}

/// The fields that local header and directory share, from version to extra length.
fn common_fields(name: &str, file: &SkillFile, data: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Vec::with_capacity(26);
    for short in [VERSION, FLAGS, DEFLATE, 0, DATE] {
        fields.extend(short.to_le_bytes());
    }
    fields.extend(crc32fast::hash(&file.bytes).to_le_bytes());
    fields.extend(u32::try_from(data.len()).ok()?.to_le_bytes());
    fields.extend(u32::try_from(file.bytes.len()).ok()?.to_le_bytes());
    fields.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
    fields.extend(0_u16.to_le_bytes());
    Some(fields)
}

fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn push(to: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        to.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::tree::SkillTree;

    #[test]
    fn the_reader_of_packages_reads_it_back() {
        let mut tree = SkillTree::new();
        let files = [
            ("SKILL.md", SkillFile::plain("---\nname: a\n---\n")),
            (
                "scripts/run.sh",
                SkillFile::executable("#!/bin/sh\n".repeat(100)),
            ),
            ("assets/ü.bin", SkillFile::plain(vec![0, 255, 7])),
            ("assets/empty", SkillFile::plain("")),
        ];
        for (path, file) in files {
            tree.insert(path, file).expect("a good path");
        }
        let zip = write("my-skill", tree.iter()).expect("small");
        let read = SkillTree::read_archive(&zip, &Limits::default()).expect("a correct zip");
        assert_eq!(read, tree);
    }
}
