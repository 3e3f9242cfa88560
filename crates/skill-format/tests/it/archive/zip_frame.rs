//! What holds a zip together: where its entries lie, the central directory and the end record.

use super::build::{ZipEntry, ZipFrame, extra, zip, zip_in};
use super::{blames, read, refusal};

fn with_skill_md(entry: ZipEntry) -> Vec<u8> {
    zip(&[ZipEntry::skill_md(), entry])
}

fn framed(frame: ZipFrame) -> Vec<u8> {
    zip_in(frame, &[ZipEntry::skill_md()])
}

#[test]
fn an_empty_zip_holds_no_skill() {
    assert_eq!(refusal(&zip(&[])).0, "archive-no-skill-md");
}

#[test]
fn a_comment_is_allowed() {
    let bytes = framed(ZipFrame {
        comment: b"0123456789012345678901234567890123456789".to_vec(),
        ..ZipFrame::default()
    });
    assert_eq!(
        read(&bytes)
            .expect("git archive writes the commit there")
            .len(),
        1
    );
}

#[test]
fn overlapping_entries_are_refused() {
    // Both records of the directory name the same local entry.
    let twice = ZipEntry::file("a").with(|entry| entry.local_at = Some(0));
    assert_eq!(
        refusal(&zip(&[ZipEntry::file("a"), twice])).0,
        "archive-zip-overlap"
    );
    // One entry's data reaches into the next.
    let long = ZipEntry::file("a").with_both(|fields| (fields.size, fields.packed_size) = (40, 40));
    assert_eq!(
        refusal(&zip(&[long, ZipEntry::skill_md()])),
        blames("archive-zip-overlap", "a")
    );
    // The data reaches into the directory.
    let long =
        ZipEntry::file("a").with_both(|fields| (fields.size, fields.packed_size) = (4000, 4000));
    assert_eq!(
        refusal(&with_skill_md(long)),
        blames("archive-zip-overlap", "a")
    );
}

#[test]
fn an_offset_outside_the_file_is_refused() {
    let far = ZipEntry::file("a").with(|entry| entry.local_at = Some(1 << 30));
    assert_eq!(refusal(&with_skill_md(far)).0, "archive-zip-overlap");
}

#[test]
fn bytes_between_entries_are_refused() {
    let gap = ZipEntry::file("a").with(|entry| entry.after = b"hidden".to_vec());
    assert_eq!(
        refusal(&zip(&[gap, ZipEntry::skill_md()])).0,
        "archive-zip-gap"
    );
    let frame = ZipFrame {
        before_directory: b"hidden".to_vec(),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(frame)).0, "archive-zip-gap");
}

#[test]
fn a_local_entry_that_the_directory_does_not_name_is_refused() {
    let hidden = zip(&[ZipEntry::file("hidden")]);
    let end_of_entry = 30 + "hidden".len() + 1;
    let frame = ZipFrame {
        before_directory: hidden[..end_of_entry].to_vec(),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(frame)).0, "archive-zip-gap");
}

#[test]
fn prepended_data_is_refused() {
    let frame = || ZipFrame {
        before: b"#!/bin/sh\n".to_vec(),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(frame())).0, "archive-zip-prepended");
    // With the offsets of before the data was prepended, as `cat stub.sh a.zip` gives them.
    let bytes = [b"#!/bin/sh\n".to_vec(), framed(ZipFrame::default())].concat();
    assert_eq!(refusal(&bytes).0, "archive-zip-directory-bounds");
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = framed(ZipFrame::default());
    bytes.push(0);
    assert_eq!(refusal(&bytes).0, "archive-zip-no-end");
}

#[test]
fn a_comment_that_hides_a_second_end_is_refused() {
    let hidden = framed(ZipFrame::default());
    let bytes = framed(ZipFrame {
        comment: hidden,
        ..ZipFrame::default()
    });
    assert_eq!(refusal(&bytes).0, "archive-zip-comment");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = framed(ZipFrame::default());
    for length in 0..bytes.len() {
        let (code, _) = refusal(&bytes[..length]);
        assert_eq!(
            code,
            if length < 4 {
                "archive-unknown-format"
            } else {
                "archive-zip-no-end"
            },
            "cut to {length} bytes"
        );
    }
}

#[test]
fn zip64_is_refused_in_every_form() {
    let by_extra = ZipEntry::file("a").with_both(|fields| fields.extra = extra(1, &[0; 16]));
    assert_eq!(
        refusal(&with_skill_md(by_extra)),
        blames("archive-zip-zip64", "a")
    );
    let by_size = ZipEntry::file("a").with_both(|fields| fields.size = u32::MAX);
    assert_eq!(
        refusal(&with_skill_md(by_size)),
        blames("archive-zip-zip64", "a")
    );
    let by_count = ZipFrame {
        counts: Some([0, 0, u16::MAX, u16::MAX]),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(by_count)).0, "archive-zip-zip64");
    let by_offset = ZipFrame {
        directory_at: Some(u32::MAX),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(by_offset)).0, "archive-zip-zip64");
    let mut locator = b"PK\x06\x07".to_vec();
    locator.extend([0; 16]);
    let by_locator = ZipFrame {
        after_directory: locator,
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(by_locator)).0, "archive-zip-zip64");
}

#[test]
fn a_split_archive_is_refused() {
    for counts in [[1, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 2]] {
        assert_eq!(
            refusal(&framed(ZipFrame {
                counts: Some(counts),
                ..ZipFrame::default()
            }))
            .0,
            "archive-zip-multi-disk"
        );
    }
    let elsewhere = ZipEntry::file("a").with(|entry| entry.disk = 1);
    assert_eq!(
        refusal(&with_skill_md(elsewhere)),
        blames("archive-zip-multi-disk", "a")
    );
}

#[test]
fn a_directory_that_is_not_where_the_end_says_is_refused() {
    let frame = ZipFrame {
        directory_at: Some(0),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(frame)).0, "archive-zip-directory-bounds");
    let frame = ZipFrame {
        after_directory: b"hidden".to_vec(),
        ..ZipFrame::default()
    };
    assert_eq!(refusal(&framed(frame)).0, "archive-zip-directory-bounds");
}

#[test]
fn a_wrong_number_of_entries_is_refused() {
    for count in [0, 2] {
        let frame = ZipFrame {
            counts: Some([0, 0, count, count]),
            ..ZipFrame::default()
        };
        assert_eq!(refusal(&framed(frame)).0, "archive-zip-directory-syntax");
    }
}
