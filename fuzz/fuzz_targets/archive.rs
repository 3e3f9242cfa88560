//! Any bytes as an archive. Input that begins with `t` is the content of a tar instead, which is
//! given the checksums that random bytes would never have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_format::{Limits, SkillTree};

const BLOCK_BYTES: usize = 512;

/// Small enough to be reached by small inputs.
fn limits() -> Limits {
    Limits {
        archive_bytes_max: 1 << 20,
        unpacked_bytes_max: 1 << 20,
        file_bytes_max: 1 << 19,
        files_max: 20,
        depth_max: 5,
        path_bytes_max: 120,
        ratio_max: 50,
    }
}

/// Corrects the checksum of each block that has the magic of a header.
fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(BLOCK_BYTES) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    tar
}

/// One gzip member with a single stored block for each 65,535 bytes.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = content.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        let length = chunk.len() as u16;
        member.push(u8::from(chunks.peek().is_none()));
        member.extend(length.to_le_bytes());
        member.extend((!length).to_le_bytes());
        member.extend_from_slice(chunk);
    }
    member.extend(crc32fast::hash(content).to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

fn assert_within(tree: &SkillTree, limits: &Limits) {
    assert!(tree.total_bytes() <= limits.unpacked_bytes_max);
    assert!(tree.len() <= limits.files_max);
    for (path, file) in tree.iter() {
        assert!(file.bytes.len() as u64 <= limits.file_bytes_max);
        assert!(path.len() <= limits.path_bytes_max);
        assert!(path.split('/').count() <= limits.depth_max);
        assert!(path.split('/').all(|name| !matches!(name, "" | "." | "..")));
        assert!(!path.contains(['\\', '\0', ':']));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let archive = match bytes {
        [b't', tar @ ..] => gzip(&with_checksums(tar)),
        _ => bytes.to_vec(),
    };
    let Ok(tree) = SkillTree::read_archive(&archive, &limits()) else {
        return;
    };
    assert_within(&tree, &limits());
    let again = SkillTree::read_archive(&tree.pack(), &Limits::default()).expect("what is written is read");
    assert_eq!(again, tree);
    assert_eq!(again.full_digest(), tree.full_digest());
});
