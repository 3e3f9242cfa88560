//! Archives: what is read, what is refused and why, what is written.

mod bounds;
mod build;
mod extraction;
mod folders;
mod gzip;
mod interoperation;
mod paths;
mod properties;
mod tar;
mod write;
mod zip;
mod zip_frame;

use skill_format::{ArchiveError, Explain as _, Limits, SkillFile, SkillTree};

fn read(bytes: &[u8]) -> Result<SkillTree, ArchiveError> {
    SkillTree::read_archive(bytes, &Limits::default())
}

/// Reads an archive that must be refused: its code, and the path that it blames.
fn refusal(bytes: &[u8]) -> (&'static str, Option<String>) {
    refusal_within(bytes, &Limits::default())
}

fn refusal_within(bytes: &[u8], limits: &Limits) -> (&'static str, Option<String>) {
    let error = match SkillTree::read_archive(bytes, limits) {
        Ok(tree) => panic!("this archive must be refused, but gave {tree:?}"),
        Err(error) => error,
    };
    assert!(
        error.help().is_some(),
        "every refusal says what to do: {error}"
    );
    (error.code(), error.place().and_then(|place| place.file))
}

fn blames(code: &'static str, path: &str) -> (&'static str, Option<String>) {
    (code, Some(path.to_owned()))
}

/// A tree of plain files.
fn tree<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> SkillTree {
    let mut tree = SkillTree::new();
    for (path, text) in files {
        tree.insert(path, SkillFile::plain(text))
            .expect("a good path");
    }
    tree
}
