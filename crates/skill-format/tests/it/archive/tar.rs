//! What the tar reader takes, and each thing that it refuses.

use super::build::{TarEntry, gzip, pax, put, tar, tar_gz, tar_without_end};
use super::{blames, read, refusal};

fn folder(name: &str) -> TarEntry {
    TarEntry::new(name, b'5', "").mode(0o755)
}

fn extended(records: &[(&str, &str)]) -> TarEntry {
    let payload: Vec<u8> = records
        .iter()
        .flat_map(|(key, value)| pax(key, value))
        .collect();
    TarEntry::new("PaxHeader", b'x', payload)
}

fn global(records: &[(&str, &str)]) -> TarEntry {
    TarEntry {
        kind: b'g',
        ..extended(records)
    }
}

fn long_name(name: &str) -> TarEntry {
    TarEntry::new("././@LongLink", b'L', format!("{name}\0"))
}

#[test]
fn files_folders_and_the_executable_bit_are_read() {
    let tree = read(&tar_gz([
        folder("scripts/"),
        TarEntry::file("scripts/run.py").mode(0o755),
    ]))
    .expect("a good tar");
    let files: Vec<_> = tree
        .iter()
        .map(|(path, file)| (path, file.executable))
        .collect();
    assert_eq!(files, [("SKILL.md", false), ("scripts/run.py", true)]);
}

#[test]
fn the_dot_slash_that_tar_puts_before_names_is_taken_off() {
    let tree = read(&tar_gz([folder("./"), TarEntry::file("./a/b")]))
        .expect("as `tar -C folder .` writes it");
    assert!(tree.get("a/b").is_some());
}

#[test]
fn a_folder_of_unix_v7_is_known_by_its_slash() {
    let v7 = TarEntry::new("a/", 0, "").tweak(|header| header[257..265].fill(0));
    assert_eq!(read(&tar_gz([v7])).expect("a folder").len(), 1);
}

#[test]
fn a_path_in_an_extended_header_wins() {
    let tree = read(&tar_gz([
        extended(&[
            ("path", "désert/ü.md"),
            ("mtime", "1.5"),
            ("SCHILY.xattr.user.a", "b"),
        ]),
        TarEntry::file("short"),
    ]));
    assert!(tree.expect("a good tar").get("désert/ü.md").is_some());
}

#[test]
fn a_gnu_long_name_is_read_and_bounded() {
    let name = format!("{}/{}", "d".repeat(100), "n".repeat(100));
    let tree = read(&tar_gz([long_name(&name), TarEntry::file("short")])).expect("a good tar");
    assert!(tree.get(&name).is_some());

    let (code, _) = refusal(&tar_gz([
        long_name(&"n".repeat(256)),
        TarEntry::file("short"),
    ]));
    assert_eq!(code, "path-too-long");
    let (code, _) = refusal(&tar_gz([
        long_name(&"n".repeat(64 * 1024)),
        TarEntry::file("short"),
    ]));
    assert_eq!(code, "archive-tar-metadata-size");
}

#[test]
fn the_prefix_of_a_ustar_header_is_read_and_that_of_gnu_is_not() {
    let tree = read(&tar_gz([
        TarEntry::file("b").tweak(|header| put(header, 345, "a"))
    ]))
    .expect("a good tar");
    assert!(tree.get("a/b").is_some());
    let gnu = TarEntry::file("b").tweak(|header| {
        put(header, 257, "ustar  \0");
        put(header, 345, "14757624000");
    });
    assert!(read(&tar_gz([gnu])).expect("a good tar").get("b").is_some());
}

#[test]
fn the_global_header_of_git_archive_is_read() {
    let commit = "0123456789012345678901234567890123456789";
    assert_eq!(
        read(&tar_gz([global(&[("comment", commit)])]))
            .expect("a good tar")
            .len(),
        1
    );
}

#[test]
fn links_devices_and_pipes_are_refused_by_name() {
    for (kind, code) in [
        (b'1', "archive-hard-link"),
        (b'2', "archive-symbolic-link"),
        (b'3', "archive-device"),
        (b'4', "archive-device"),
        (b'6', "archive-fifo"),
        (b'S', "archive-sparse-file"),
        (b'7', "archive-unknown-entry-type"),
        (b'D', "archive-unknown-entry-type"),
        (b'M', "archive-unknown-entry-type"),
        (b'V', "archive-unknown-entry-type"),
        (b'?', "archive-unknown-entry-type"),
    ] {
        let entry = TarEntry::new("evil", kind, "").tweak(|header| put(header, 157, "/etc/passwd"));
        assert_eq!(refusal(&tar_gz([entry])), blames(code, "evil"));
    }
}

#[test]
fn a_link_with_a_long_target_is_refused_by_name() {
    let target = TarEntry::new("././@LongLink", b'K', "/etc/passwd\0");
    let link = TarEntry::new("evil", b'2', "");
    assert_eq!(
        refusal(&tar_gz([target, link])),
        blames("archive-symbolic-link", "evil")
    );
}

#[test]
fn special_permission_bits_are_refused() {
    for (mode, code) in [
        (0o4755, "archive-setuid"),
        (0o2755, "archive-setgid"),
        (0o1777, "archive-sticky"),
    ] {
        assert_eq!(
            refusal(&tar_gz([TarEntry::file("run").mode(mode)])),
            blames(code, "run")
        );
        assert_eq!(
            refusal(&tar_gz([folder("dir").mode(mode)])),
            blames(code, "dir")
        );
    }
}

#[test]
fn a_folder_with_content_is_refused() {
    assert_eq!(
        refusal(&tar_gz([TarEntry::new("a", b'5', "x")])),
        blames("archive-folder-with-content", "a")
    );
}

#[test]
fn a_file_that_some_would_read_as_a_folder_is_refused() {
    assert_eq!(
        refusal(&tar_gz([TarEntry::file("a/")])),
        blames("archive-file-or-folder", "a/")
    );
}

#[test]
fn an_extended_header_must_not_change_the_size() {
    let bytes = tar_gz([
        extended(&[("size", "512")]),
        TarEntry::new("a", b'0', vec![b'x'; 1024]),
    ]);
    assert_eq!(refusal(&bytes), blames("archive-pax-size", "a"));
    let bytes = tar_gz([
        extended(&[("size", "1024")]),
        TarEntry::new("a", b'0', vec![b'x'; 1024]),
    ]);
    assert_eq!(read(&bytes).expect("the same size is no change").len(), 2);
}

#[test]
fn sparse_files_are_refused_in_every_form() {
    for key in [
        "GNU.sparse.major",
        "GNU.sparse.name",
        "GNU.sparse.realsize",
        "GNU.sparse.map",
    ] {
        let bytes = tar_gz([extended(&[(key, "1")]), TarEntry::file("a")]);
        assert_eq!(refusal(&bytes), blames("archive-sparse-file", "a"));
    }
}

#[test]
fn an_extended_header_must_not_set_a_path_twice() {
    let bytes = tar_gz([
        extended(&[("path", "a"), ("path", "b")]),
        TarEntry::file("c"),
    ]);
    assert_eq!(refusal(&bytes).0, "archive-pax-duplicate");
}

#[test]
fn unknown_keys_are_refused() {
    for key in ["hdrcharset", "GNU.volume.label", "realtime", "charset"] {
        assert_eq!(
            refusal(&tar_gz([extended(&[(key, "BINARY")]), TarEntry::file("a")])).0,
            "archive-pax-key"
        );
    }
}

#[test]
fn malformed_extended_headers_are_refused() {
    let bytes = tar_gz([
        TarEntry::new("PaxHeader", b'x', "no records"),
        TarEntry::file("a"),
    ]);
    assert_eq!(refusal(&bytes).0, "archive-pax-syntax");
}

#[test]
fn a_global_header_with_an_effect_is_refused() {
    for key in ["path", "size", "linkpath", "GNU.sparse.name", "mtime"] {
        assert_eq!(
            refusal(&tar_gz([global(&[(key, "1")]), TarEntry::file("a")])).0,
            "archive-pax-global-header"
        );
    }
}

#[test]
fn two_names_for_one_entry_are_refused() {
    let bytes = tar_gz([
        extended(&[("path", "a")]),
        long_name("b"),
        TarEntry::file("c"),
    ]);
    assert_eq!(refusal(&bytes).0, "archive-tar-two-names");
}

#[test]
fn metadata_that_belongs_to_no_entry_is_refused() {
    for records in [
        vec![extended(&[("path", "a")])],
        vec![long_name("a")],
        vec![
            extended(&[("path", "a")]),
            extended(&[("path", "b")]),
            TarEntry::file("c"),
        ],
        vec![long_name("a"), long_name("b"), TarEntry::file("c")],
        vec![
            extended(&[("path", "a")]),
            global(&[("comment", "b")]),
            TarEntry::file("c"),
        ],
        vec![
            TarEntry::new("././@LongLink", b'K', "target\0"),
            TarEntry::file("c"),
        ],
    ] {
        assert_eq!(refusal(&tar_gz(records)).0, "archive-tar-stray-metadata");
    }
}

#[test]
fn a_wrong_header_checksum_is_refused() {
    let mut bytes = tar([TarEntry::file("a")]);
    bytes[1024] ^= 1;
    assert_eq!(refusal(&gzip(&bytes)).0, "archive-tar-header-checksum");
}

#[test]
fn an_unknown_magic_is_refused() {
    let entry = TarEntry::file("a").tweak(|header| put(header, 257, "rats"));
    assert_eq!(refusal(&tar_gz([entry])).0, "archive-tar-magic");
}

#[test]
fn numbers_must_be_octal() {
    let tweaks: [fn(&mut [u8]); 7] = [
        |header| put(header, 124, "0000000001x\0"),
        |header| put(header, 124, "00000000009\0"),
        |header| put(header, 124, "-0000000001\0"),
        |header| header[124..136].fill(0),
        // GNU's binary form: 2^64 - 1 and, as others read it, -1.
        |header| header[124..136].fill(0xff),
        |header| header[124] = 0x80,
        |header| header[103] = b'x',
    ];
    for tweak in tweaks {
        assert_eq!(
            refusal(&tar_gz([TarEntry::file("a").tweak(tweak)])).0,
            "archive-tar-number"
        );
    }
}

#[test]
fn data_after_the_end_is_refused() {
    let mut bytes = tar([]);
    bytes.extend(tar_without_end([TarEntry::file("hidden")]));
    assert_eq!(refusal(&gzip(&bytes)).0, "archive-tar-data-after-end");
    let mut bytes = tar([]);
    bytes.push(1);
    assert_eq!(refusal(&gzip(&bytes)).0, "archive-tar-data-after-end");
}

#[test]
fn an_entry_after_a_single_zero_block_is_refused() {
    let mut bytes = tar_without_end([]);
    bytes.extend([0; 512]);
    bytes.extend(tar([TarEntry::file("hidden")]));
    assert_eq!(refusal(&gzip(&bytes)).0, "archive-tar-data-after-end");
}

#[test]
fn zeros_after_the_end_are_padding() {
    let mut bytes = tar([]);
    bytes.resize(20 * 512, 0);
    assert_eq!(
        read(&gzip(&bytes)).expect("GNU tar pads to 10 KiB").len(),
        1
    );
}

#[test]
fn a_tar_that_stops_early_is_refused_wherever_it_stops() {
    let bytes = tar([
        extended(&[("path", "b")]),
        TarEntry::new("a", b'0', vec![b'x'; 700]),
    ]);
    for length in (0..bytes.len()).step_by(64) {
        assert_eq!(
            refusal(&gzip(&bytes[..length])).0,
            "archive-tar-truncated",
            "cut to {length} bytes"
        );
    }
}

#[test]
fn a_size_beyond_the_archive_is_refused() {
    assert_eq!(
        refusal(&tar_gz([TarEntry::file("a").size(100_000)])).0,
        "archive-tar-truncated"
    );
}

#[test]
fn a_skill_md_in_a_top_folder_is_named() {
    // `SKILL.md` and its content are the first two blocks.
    let bytes = tar([TarEntry::file("my-skill/SKILL.md")])[1024..].to_vec();
    let error = read(&gzip(&bytes)).expect_err("not at the root");
    assert_eq!(
        error.to_string(),
        "there is no `SKILL.md` at the root of the archive, only `my-skill/SKILL.md`"
    );
}
