//! The package that a tree becomes: always the same bytes, readable by everyone.

use skill_format::{Sha256, SkillFile, SkillTree};

use super::{read, tree};

/// One path of every kind that the writer treats differently.
fn fixed() -> SkillTree {
    let mut fixed = tree([
        (
            "SKILL.md",
            "---\nname: fixed\ndescription: A tree that never changes.\n---\n\n# Fixed\n",
        ),
        ("A-before-SKILL.md", "sorted after it all the same\n"),
        ("references/désert.md", "a name that is not ASCII\n"),
        ("empty", ""),
    ]);
    let split = format!("{}/{}", "p".repeat(90), "n".repeat(90));
    let unsplittable = "n".repeat(200);
    fixed
        .insert(&split, SkillFile::plain("a name that ustar splits\n"))
        .expect("a good path");
    fixed
        .insert(
            &unsplittable,
            SkillFile::plain("a name that needs an extended header\n"),
        )
        .expect("a good path");
    fixed
        .insert(
            "scripts/run.py",
            SkillFile::executable("print('hello')\n".repeat(1000)),
        )
        .expect("a good path");
    // Data without patterns, and data with long-distance ones: all parts of the compressor.
    let noise: Vec<u8> = (0..20_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fixed
        .insert(
            "assets/noise.bin",
            SkillFile::plain([&noise[..], &noise[..]].concat()),
        )
        .expect("a good path");
    fixed
}

/// If this fails after an update of `miniz_oxide`, packages packed before and after differ: keep
/// the old version, or announce the change in `CHANGELOG.md`.
#[test]
fn the_same_tree_is_packed_to_the_same_bytes_by_every_version() {
    let packed = fixed().pack();
    assert_eq!(Sha256::of(&packed).to_string(), PACKED);
    assert_eq!(fixed().full_digest().to_string(), FULL);
}

const PACKED: &str = "sha256:06da53386a190fd13bf6b7caf79e926d4c41ca79f80f4dbe9a4e8105602651af";
const FULL: &str = "sha256:04f2bc084781b7cdfbe3647b0cd02078ad55d2ea9dfefb2614dd17943e045652";

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&fixed().pack()).expect("our own package"), fixed());
}

#[test]
fn the_gzip_header_says_nothing_about_time_name_or_system() {
    assert_eq!(fixed().pack()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

#[test]
fn skill_md_comes_first_and_the_rest_in_order() {
    let packed = tree([("Z", ""), ("b", ""), ("SKILL.md", ""), ("A", "")]).pack();
    let tar = miniz_oxide::inflate::decompress_to_vec(&packed[10..packed.len() - 8])
        .expect("raw deflate");
    let names: Vec<_> = tar
        .chunks(512)
        .map(|block| block[0])
        .take_while(|byte| *byte != 0)
        .collect();
    assert_eq!(names, b"SAZb");
}
