//! Frontmatter that is written: new, or with `version` and `author` moved under `metadata`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skill_format::{
    FrontmatterFields, Manifest, Version, skill_md_with_metadata, write_frontmatter,
};

use crate::samples::{read, skill_md};

fn moved(text: &str) -> String {
    skill_md_with_metadata(text.as_bytes(), None, None).expect("frontmatter")
}

#[test]
fn the_seeds_version_and_author_move_under_metadata() {
    let before = "---\n# Who we are\nname: data-analysis-expert\ndescription: 'Expert: data' # quoted\nversion: 1.10\n\
        author: roundtable-community\n\n# About the licence\nlicense: MIT\n---\n\n## Instructions\n---\nend";
    let after = "---\n# Who we are\nname: data-analysis-expert\ndescription: 'Expert: data' # quoted\n\n\
        # About the licence\nlicense: MIT\nmetadata:\n  version: \"1.10\"\n  author: roundtable-community\n---\n\n## Instructions\n---\nend";
    assert_eq!(moved(before), after);
}

#[test]
fn existing_metadata_is_kept_and_completed() {
    let before = "---\nname: a\nversion: 2.0.0\nmetadata:\n  author: alice\n  x: \"1\"\ndescription: b\n---\nBody\n";
    let after = "---\nname: a\nmetadata:\n  author: alice\n  x: \"1\"\n  version: \"2.0.0\"\ndescription: b\n---\nBody\n";
    assert_eq!(moved(before), after);
}

#[test]
fn given_values_win() {
    let before = "---\nname: a\ndescription: b\nversion: 1.0.0\nmetadata: {version: 0.1.0, author: bob}\n---\n";
    let version = Version::new(3, 0, 0);
    let after = skill_md_with_metadata(before.as_bytes(), Some(&version), Some("alice: the first"))
        .expect("frontmatter");
    assert_eq!(
        after,
        "---\nname: a\ndescription: b\nmetadata:\n  version: \"3.0.0\"\n  author: \"alice: the first\"\n---\n"
    );
}

#[test]
fn a_file_in_order_stays_byte_for_byte() {
    for text in [
        "---\nname: a\ndescription: b\n---\nBody",
        "---\nname: a # x\ndescription: >\n  b\n\n  c\n\n# y\nmetadata:\n  version: '1.0' # z\n---\n",
        "---\r\nname: a\r\ndescription: b\r\n---\r\nOne\r\nTwo\n",
    ] {
        assert_eq!(moved(text), text);
    }
}

#[test]
fn odd_frontmatter_is_written_anew() {
    let flow = "---\n{name: a, description: 'b: c', version: 1.0.0, disable-model-invocation: true}\n---\nBody\n";
    assert_eq!(
        moved(flow),
        "---\nname: a\ndescription: \"b: c\"\ndisable-model-invocation: true\nmetadata:\n  version: \"1.0.0\"\n---\nBody\n"
    );
    let broken = "---\nname: a\ndescription: b: c\nversion: 1.0.0\n---\n";
    assert_eq!(
        moved(broken),
        "---\nname: a\ndescription: \"b: c\"\nmetadata:\n  version: \"1.0.0\"\n---\n"
    );
}

/// Found by fuzzing: the author was lost, since a second `metadata` hid the first.
#[test]
fn fields_that_are_read_under_other_spellings_move_too() {
    let before = "---\nname: a\ndescription: b\nVersion: 1.0.0\nMetadata: {author: x}\n---\n";
    let after = "---\nname: a\ndescription: b\nmetadata:\n  author: x\n  version: \"1.0.0\"\n---\n";
    assert_eq!(moved(before), after);
}

#[test]
fn what_is_no_frontmatter_is_refused() {
    assert!(skill_md_with_metadata(b"no", None, None).is_err());
    assert!(skill_md_with_metadata(b"---\na: 1\na: 2\n---\n", None, None).is_err());
}

fn without_remarks(text: &str) -> Manifest {
    read(skill_md(text)).manifest
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,40}",
        "\\PC{1,20}",
        "[a-z:#'\"\\\\\\[\\]{}&*!|>%@` \n\t-]{1,20}",
        Just("no".to_owned()),
        Just("1.10".to_owned()),
        Just("~".to_owned()),
    ]
}

proptest! {
    #[test]
    fn written_frontmatter_is_read_back(
        description in text(),
        license in proptest::option::of(text()),
        metadata in proptest::collection::btree_map("[a-z]{1,8}", text(), 0..4),
    ) {
        prop_assume!(!description.trim().is_empty());
        let fields = FrontmatterFields {
            name: "a".into(),
            description: description.clone(),
            license: license.clone(),
            metadata: metadata.clone(),
            ..FrontmatterFields::default()
        };
        let manifest = without_remarks(&(write_frontmatter(&fields) + "Body\n"));
        prop_assert_eq!(&manifest.description, description.trim());
        let license = license.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        prop_assert_eq!(manifest.license, license);
        let trimmed: BTreeMap<_, _> = metadata.iter().map(|(k, v)| (k.clone(), v.trim().to_owned())).collect();
        prop_assert_eq!(manifest.metadata, trimmed);
    }

    #[test]
    fn moving_changes_nothing_else(
        description in text(),
        license in text(),
        author in "[ -~]{1,20}",
        body in "\\PC{0,40}",
        has_metadata in any::<bool>(),
        has_crlf in any::<bool>(),
    ) {
        prop_assume!(!description.trim().is_empty());
        let fields = FrontmatterFields {
            name: "a".into(),
            description,
            license: Some(license),
            metadata: has_metadata.then(|| ("note".to_owned(), "1".to_owned())).into_iter().collect(),
            ..FrontmatterFields::default()
        };
        let written = write_frontmatter(&fields);
        let author_line = write_frontmatter(&FrontmatterFields { name: author, ..FrontmatterFields::default() });
        let author_line = author_line.lines().nth(1).expect("name").replacen("name:", "author:", 1);
        let mut before = written.replacen("---\n", &format!("---\n{author_line}\nversion: 1.10\n"), 1) + &body;
        if has_crlf {
            before = before.replace('\n', "\r\n");
        }
        let after = moved(&before);
        prop_assert!(after.ends_with(&body));
        let (old, new) = (without_remarks(&before), without_remarks(&after));
        prop_assert_eq!(new.metadata.get("version").map(String::as_str), Some("1.10"));
        prop_assert_eq!(&old.version, &new.version);
        prop_assert_eq!(&old.author, &new.author);
        prop_assert_eq!(old.description, new.description);
        prop_assert_eq!(old.license, new.license);
        prop_assert_eq!(moved(&after), after, "it settles");
    }
}
