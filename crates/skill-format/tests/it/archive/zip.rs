//! What the zip reader takes of an entry, and each thing that it refuses.

use skill_format::Limits;

use super::build::{ZipEntry, extra, zip};
use super::{blames, read, refusal, refusal_within};

fn with_skill_md(entry: ZipEntry) -> Vec<u8> {
    zip(&[ZipEntry::skill_md(), entry])
}

#[test]
fn files_folders_and_the_executable_bit_are_read() {
    let run = ZipEntry::new("scripts/run.py", "print(1)\n".repeat(100), 8)
        .with(|entry| entry.attributes = 0o100_755 << 16);
    let folder =
        ZipEntry::new("scripts/", "", 0).with(|entry| entry.attributes = 0o040_755 << 16 | 0x10);
    let tree = read(&zip(&[folder, run, ZipEntry::skill_md()])).expect("a good zip");
    let files: Vec<_> = tree
        .iter()
        .map(|(path, file)| (path, file.executable, file.bytes.len()))
        .collect();
    assert_eq!(
        files,
        [("SKILL.md", false, 16), ("scripts/run.py", true, 900)]
    );
}

#[test]
fn a_single_top_folder_is_taken_off() {
    let entries = ["my-skill/SKILL.md", "my-skill/references/a.md"].map(ZipEntry::file);
    let tree = read(&zip(&entries)).expect("a good zip");
    assert_eq!(
        tree.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        ["SKILL.md", "references/a.md"]
    );
}

#[test]
fn a_top_folder_beside_something_else_stays() {
    assert_eq!(
        refusal(&zip(&["my-skill/SKILL.md", "b"].map(ZipEntry::file))).0,
        "archive-no-skill-md"
    );
}

#[test]
fn what_macos_adds_is_left_out() {
    let entries = [
        "my-skill/SKILL.md",
        "my-skill/.DS_Store",
        "__MACOSX/my-skill/._SKILL.md",
    ]
    .map(ZipEntry::file);
    assert_eq!(read(&zip(&entries)).expect("a zip made by Finder").len(), 1);
}

#[test]
fn a_zip_inside_a_zip_is_an_ordinary_file() {
    let inner = zip(&[ZipEntry::file("x")]);
    assert_eq!(
        read(&with_skill_md(ZipEntry::new("inner.zip", inner, 0)))
            .expect("a good zip")
            .len(),
        2
    );
}

#[test]
fn data_descriptors_are_read_with_and_without_signature() {
    for signature in [true, false] {
        for method in [0, 8] {
            let entry = ZipEntry::new("a", "some content", method).streamed(signature);
            let tree = read(&zip(&[entry, ZipEntry::skill_md().streamed(signature)]))
                .expect("a streamed zip");
            assert_eq!(tree.get("a").expect("it is there").bytes, b"some content");
        }
    }
}

#[test]
fn a_descriptor_that_disagrees_is_refused() {
    let entry = ZipEntry::file("a")
        .streamed(true)
        .with(|entry| entry.after[4] ^= 1);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-data-descriptor", "a")
    );
    let entry = ZipEntry::file("a")
        .streamed(true)
        .with(|entry| entry.after.clear());
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-data-descriptor", "a")
    );
}

#[test]
fn a_zip64_descriptor_is_refused() {
    let entry = ZipEntry::file("a")
        .streamed(true)
        .with(|entry| entry.after.extend([0; 8]));
    assert_eq!(refusal(&with_skill_md(entry)).0, "archive-zip-gap");
}

#[test]
fn the_two_descriptions_of_an_entry_must_agree() {
    type Lie = fn(&mut ZipEntry);
    let lies: [(&str, Lie); 6] = [
        ("name", |entry| entry.local.name = b"b".to_vec()),
        ("flags", |entry| entry.local.flags = 1 << 11),
        ("method", |entry| entry.local.method = 8),
        ("checksum", |entry| entry.local.crc ^= 1),
        ("packed size", |entry| entry.local.packed_size += 1),
        ("size", |entry| entry.local.size += 1),
    ];
    for (field, lie) in lies {
        let error = read(&with_skill_md(ZipEntry::file("a").with(lie))).expect_err(field);
        assert!(
            error
                .to_string()
                .ends_with(&format!("disagree about the {field}")),
            "{error}"
        );
    }
}

#[test]
fn a_streamed_entry_may_give_its_size_early() {
    let entry = ZipEntry::file("a")
        .streamed(true)
        .with(|entry| entry.local.size = entry.central.size);
    assert_eq!(
        read(&with_skill_md(entry))
            .expect("as Info-ZIP streams it")
            .len(),
        2
    );
}

#[test]
fn sizes_of_a_streamed_entry_must_be_zero_or_true() {
    let entry = ZipEntry::file("a")
        .streamed(true)
        .with(|entry| entry.local.size = 7);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-disagreement", "a")
    );
}

#[test]
fn a_local_header_without_its_signature_is_refused() {
    let mut bytes = zip(&[ZipEntry::file("a"), ZipEntry::skill_md()]);
    bytes[0] = b'X';
    assert_eq!(refusal(&bytes), blames("archive-zip-local-syntax", "a"));
}

#[test]
fn encrypted_entries_are_refused() {
    for flag in [1, 1 << 6, 1 << 13] {
        let entry = ZipEntry::file("a").with_both(|fields| fields.flags = flag);
        assert_eq!(
            refusal(&with_skill_md(entry)),
            blames("archive-zip-encrypted", "a")
        );
    }
    let aes = ZipEntry::file("a").with_both(|fields| fields.extra = extra(0x9901, &[0; 7]));
    assert_eq!(
        refusal(&with_skill_md(aes)),
        blames("archive-zip-encrypted", "a")
    );
}

#[test]
fn other_methods_are_refused() {
    for method in [1, 9, 12, 14, 93, 95, 99] {
        let entry = ZipEntry::file("a").with_both(|fields| fields.method = method);
        assert_eq!(
            refusal(&with_skill_md(entry)),
            blames("archive-zip-method", "a")
        );
    }
}

#[test]
fn extra_fields_must_be_well_formed() {
    for bytes in [vec![1], vec![0, 0, 9, 0, 1], vec![0, 0, 0]] {
        let entry = ZipEntry::file("a").with(|entry| entry.central.extra = bytes.clone());
        assert_eq!(
            refusal(&with_skill_md(entry)),
            blames("archive-zip-extra-field", "a")
        );
        let entry = ZipEntry::file("a").with(|entry| entry.local.extra = bytes);
        assert_eq!(
            refusal(&with_skill_md(entry)),
            blames("archive-zip-extra-field", "a")
        );
    }
}

#[test]
fn a_second_name_in_an_extra_field_is_refused() {
    let named = |name: &[u8]| extra(0x7075, &[&[1, 0, 0, 0, 0], name].concat());
    let entry = ZipEntry::file("a").with(|entry| entry.central.extra = named(b"../evil"));
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-second-name", "a")
    );
    let entry = ZipEntry::file("a").with(|entry| entry.local.extra = named(b"../evil"));
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-second-name", "a")
    );
    let same = ZipEntry::file("a").with_both(|fields| fields.extra = named(b"a"));
    assert_eq!(
        read(&with_skill_md(same))
            .expect("the same name is no second one")
            .len(),
        2
    );
}

#[test]
fn links_devices_and_pipes_are_refused_by_name() {
    for (kind, code) in [
        (0o120_777, "archive-symbolic-link"),
        (0o060_644, "archive-device"),
        (0o020_644, "archive-device"),
        (0o010_644, "archive-fifo"),
        (0o140_644, "archive-socket"),
        (0o150_644, "archive-unknown-entry-type"),
        (0o104_755, "archive-setuid"),
        (0o102_755, "archive-setgid"),
        (0o101_755, "archive-sticky"),
    ] {
        let entry = ZipEntry::file("evil").with(|entry| entry.attributes = kind << 16);
        assert_eq!(refusal(&with_skill_md(entry)), blames(code, "evil"));
    }
}

#[test]
fn name_and_attributes_must_agree_on_what_is_a_folder() {
    for (name, attributes) in [("a", 0o040_755 << 16), ("a/", 0o100_644 << 16), ("a", 0x10)] {
        let entry = ZipEntry::new(name, "", 0).with(|entry| entry.attributes = attributes);
        assert_eq!(
            refusal(&with_skill_md(entry)),
            blames("archive-file-or-folder", name)
        );
    }
}

#[test]
fn a_folder_with_content_is_refused() {
    let entry = ZipEntry::file("a/").with(|entry| entry.attributes = 0);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-folder-with-content", "a/")
    );
}

#[test]
fn a_wrong_checksum_is_refused() {
    let entry = ZipEntry::file("a").with_both(|fields| fields.crc ^= 1);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-checksum", "a")
    );
}

#[test]
fn a_wrong_size_is_refused() {
    let stored = ZipEntry::file("a").with_both(|fields| fields.size = 2);
    assert_eq!(
        refusal(&with_skill_md(stored)),
        blames("archive-zip-size", "a")
    );
    for size in [9, 11] {
        let deflated = ZipEntry::new("a", "0123456789", 8).with_both(|fields| fields.size = size);
        assert_eq!(
            refusal(&with_skill_md(deflated)),
            blames("archive-zip-size", "a")
        );
    }
}

#[test]
fn bytes_after_the_compressed_data_are_refused() {
    let entry = ZipEntry::new("a", "0123456789", 8)
        .with(|entry| entry.data.push(0))
        .with_both(|fields| fields.packed_size += 1);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-size", "a")
    );
}

#[test]
fn corrupt_data_is_refused() {
    let entry = ZipEntry::new("a", "0123456789", 8).with(|entry| entry.data[0] = 0b111);
    assert_eq!(
        refusal(&with_skill_md(entry)),
        blames("archive-zip-corrupt", "a")
    );
}

#[test]
fn a_bomb_is_refused_by_what_it_claims_before_it_is_inflated() {
    let limits = Limits {
        ratio_max: 2,
        unpacked_bytes_max: u64::MAX,
        ..Limits::default()
    };
    let claims = |name: &str| ZipEntry::file(name).with_both(|fields| fields.size = 9 << 20);
    let bytes = zip(&[
        ZipEntry::skill_md(),
        claims("a").with_both(|fields| fields.method = 8),
    ]);
    // One entry stays below what is always allowed, and fails on its content.
    assert_eq!(refusal_within(&bytes, &limits).0, "archive-zip-corrupt");
    let content = vec![0; 9 << 20];
    let entries = [
        ZipEntry::skill_md(),
        ZipEntry::new("a", &content, 8),
        ZipEntry::new("b", &content, 8),
    ];
    assert_eq!(refusal_within(&zip(&entries), &limits).0, "archive-bomb");
}
