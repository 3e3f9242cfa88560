//! The names that a tree already uses, so that a new one which any common file system would take
//! for an old one is refused.
//!
//! Knows spellings and keys; what a good path is stands in `path.rs`.

use std::collections::HashMap;

use super::path::{self, CheckedPath, PathError, PathProblem};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

#[derive(Clone, Debug)]
struct Name {
    /// As it was first written, before normalisation.
    spelling: String,
    kind: Kind,
}

/// Every file and every folder above one, by collision key.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<String, Name>);

impl Names {
    /// The names of files that are known not to collide.
    pub fn of<'a>(paths: impl Iterator<Item = &'a String>) -> Self {
        let mut names = Self::default();
        for path in paths {
            for (raw, key) in prefixes(path, &path::collision_key(path)) {
                let kind = if raw.len() == path.len() {
                    Kind::File
                } else {
                    Kind::Folder
                };
                names.0.insert(
                    key.to_owned(),
                    Name {
                        spelling: raw.to_owned(),
                        kind,
                    },
                );
            }
        }
        names
    }

    /// Takes `path` and every folder above it, or says with which name it collides.
    pub fn claim(&mut self, path: &CheckedPath, kind: Kind) -> Result<(), PathError> {
        for (raw, key) in prefixes(&path.raw, &path.key) {
            let kind = if raw.len() == path.raw.len() {
                kind
            } else {
                Kind::Folder
            };
            match self.0.get(key) {
                None => {
                    self.0.insert(
                        key.to_owned(),
                        Name {
                            spelling: raw.to_owned(),
                            kind,
                        },
                    );
                }
                Some(taken) => taken
                    .admit(raw, kind)
                    .map_err(|problem| PathError::new(&path.raw, problem))?,
            }
        }
        Ok(())
    }
}

impl Name {
    /// Whether `raw`, which has the same key, may stand beside this name: only a folder that is
    /// the very same folder may.
    fn admit(&self, raw: &str, kind: Kind) -> Result<(), PathProblem> {
        if self.spelling != raw {
            let other = path::printable(&self.spelling);
            return Err(if path::same_but_for_normalisation(&self.spelling, raw) {
                PathProblem::NormalisationCollision { other }
            } else {
                PathProblem::CaseCollision { other }
            });
        }
        match (self.kind, kind) {
            (Kind::Folder, Kind::Folder) => Ok(()),
            (Kind::File, Kind::File) => Err(PathProblem::Duplicate),
            (Kind::File, Kind::Folder) | (Kind::Folder, Kind::File) => {
                Err(PathProblem::FileFolderConflict)
            }
        }
    }
}

/// `a/b/c` as `a`, `a/b`, `a/b/c`, each with the same number of components of the key. The two
/// line up because no component's key contains a `/` (see [`PathProblem::Lookalike`]).
fn prefixes<'a>(raw: &'a str, key: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    cuts(raw).zip(cuts(key))
}

fn cuts(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()])
        .map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::super::{SkillFile, SkillTree};
    use super::*;

    fn second(first: &str, second: &str) -> PathProblem {
        let mut tree = SkillTree::new();
        tree.insert(first, SkillFile::default())
            .expect("the first name is free");
        tree.insert(second, SkillFile::default())
            .expect_err("the second collides")
            .problem
    }

    #[test]
    fn collisions_are_told_apart() {
        assert_eq!(second("a", "a"), PathProblem::Duplicate);
        assert_eq!(
            second("a", "A"),
            PathProblem::CaseCollision { other: "a".into() }
        );
        assert_eq!(
            second("é", "e\u{301}"),
            PathProblem::NormalisationCollision { other: "é".into() }
        );
        assert_eq!(
            second("file", "ﬁle"),
            PathProblem::NormalisationCollision {
                other: "file".into()
            }
        );
        assert_eq!(second("a", "a/b"), PathProblem::FileFolderConflict);
        assert_eq!(second("a/b", "a"), PathProblem::FileFolderConflict);
    }

    #[test]
    fn folders_collide_like_files() {
        assert_eq!(
            second("Docs/a", "docs/b"),
            PathProblem::CaseCollision {
                other: "Docs".into()
            }
        );
        assert_eq!(
            second("e\u{301}/a", "é/b"),
            PathProblem::NormalisationCollision {
                other: "e\u{301}".into()
            }
        );
    }

    #[test]
    fn files_in_one_folder_do_not_collide() {
        let mut tree = SkillTree::new();
        for path in ["a/b", "a/c", "a/d/e", "a.b"] {
            tree.insert(path, SkillFile::default()).expect(path);
        }
        assert_eq!(tree.len(), 4);
    }
}
