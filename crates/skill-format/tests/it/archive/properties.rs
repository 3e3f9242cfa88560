//! What holds for every input.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use skill_format::{Limits, SkillFile, SkillTree};
use tempfile::tempdir;

use super::build::{TarEntry, ZipEntry, gzip, tar, tar_gz, zip};
use super::read;

/// Small enough that a few hundred bytes reach each of them.
fn tight() -> Limits {
    Limits {
        archive_bytes_max: 4096,
        unpacked_bytes_max: 600,
        file_bytes_max: 300,
        files_max: 4,
        depth_max: 3,
        path_bytes_max: 20,
        ratio_max: 3,
    }
}

fn assert_within(tree: &SkillTree, limits: &Limits) {
    assert!(tree.total_bytes() <= limits.unpacked_bytes_max);
    assert!(tree.len() <= limits.files_max);
    for (path, file) in tree.iter() {
        assert!(file.bytes.len() as u64 <= limits.file_bytes_max);
        assert!(path.len() <= limits.path_bytes_max);
        assert!(path.split('/').count() <= limits.depth_max);
    }
}

fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9._ -]{1,12}",
        "[a-zà-ÿ日本語]{1,30}",
        "[a-z]{90,120}"
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0..5000usize).prop_map(|(byte, count)| vec![byte; count])
    ]
}

/// Some paths break a rule or collide; those are left out of the tree.
fn any_tree() -> impl Strategy<Value = SkillTree> {
    let path = vec(component(), 1..4).prop_map(|components| components.join("/"));
    btree_map(path, (any::<bool>(), content()), 0..20).prop_map(|files| {
        let mut tree = SkillTree::new();
        tree.insert("SKILL.md", SkillFile::plain("x"))
            .expect("the first");
        for (path, (executable, bytes)) in files {
            let _ = tree.insert(&path, SkillFile { executable, bytes });
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = read(&bytes);
        let _ = read(&[b"PK\x03\x04", &bytes[..]].concat());
        let _ = read(&gzip(&bytes));
    }

    #[test]
    fn damaged_archives_never_panic_and_never_exceed_a_limit(
        as_zip in any::<bool>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        content in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = if as_zip {
            zip(&[ZipEntry::skill_md(), ZipEntry::new("a/b", &content, 8), ZipEntry::new("c", &content, 0).streamed(true)])
        } else {
            tar([TarEntry::new("a/b", b'0', &content), TarEntry::new("c/", b'5', "")])
        };
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let archive = if as_zip { bytes } else { gzip(&bytes) };
        if let Ok(tree) = SkillTree::read_archive(&archive, &tight()) {
            assert_within(&tree, &tight());
        }
    }

    #[test]
    fn no_limit_is_exceeded_whatever_an_archive_holds(
        files in vec(("[a-c/]{1,25}", 0..400usize), 0..8),
        as_zip in any::<bool>(),
    ) {
        let archive = if as_zip {
            let entries = files.iter().map(|(name, bytes)| ZipEntry::new(name, vec![b'x'; *bytes], 8));
            zip(&std::iter::once(ZipEntry::skill_md()).chain(entries).collect::<Vec<_>>())
        } else {
            tar_gz(files.iter().map(|(name, bytes)| TarEntry::new(name, b'0', vec![b'x'; *bytes])))
        };
        if let Ok(tree) = SkillTree::read_archive(&archive, &tight()) {
            assert_within(&tree, &tight());
        }
    }

}

proptest! {
    // Each case compresses some ten kilobytes.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn trees_survive_packing(tree in any_tree()) {
        prop_assert_eq!(read(&tree.pack()).expect("our own package"), tree.clone());
        prop_assert_eq!(read(&tree.pack_stored()).expect("the same, stored"), tree);
    }

    #[test]
    fn packing_depends_on_the_tree_alone(tree in any_tree(), seed in any::<u64>()) {
        let mut files: Vec<_> = tree.iter().collect();
        files.sort_by_key(|(path, _)| skill_format::Sha256::of(format!("{seed}{path}").as_bytes()));
        let mut shuffled = SkillTree::new();
        for (path, file) in files {
            shuffled.insert(path, file.clone()).expect("no collision in any order");
        }
        prop_assert_eq!(shuffled.pack(), tree.pack());
        prop_assert_eq!(shuffled.full_digest(), tree.full_digest());
    }

    #[test]
    fn any_other_tree_has_another_digest(tree in any_tree(), other in any_tree()) {
        prop_assert_eq!(tree.full_digest() == other.full_digest(), tree == other);
    }

    #[test]
    fn trees_survive_the_disk(tree in any_tree()) {
        let dir = tempdir().expect("a temporary folder");
        let dest = dir.path().join("skill");
        tree.extract_fast(&dest).expect("it extracts");
        prop_assert_eq!(SkillTree::read_dir_exactly(&dest, &Limits::default()).expect("it reads"), tree);
    }
}
