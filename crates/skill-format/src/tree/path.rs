//! Which paths a skill may contain: the rules that hold on every file system a skill may land on.
//!
//! Judges one path at a time and derives the key under which two paths collide. Does not know
//! archives or folders, and touches no disk.

use std::fmt;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::explain::{Explain, Fault, Place};
use crate::limits::Limits;

/// Longest part of a bad path that an error repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// A path that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {problem}")]
pub struct PathError {
    /// The offending path, made safe to print: see [`printable`].
    pub path: String,
    /// The rule that it broke.
    pub problem: PathProblem,
}

impl PathError {
    pub(crate) fn new(path: &str, problem: PathProblem) -> Self {
        Self {
            path: printable(path),
            problem,
        }
    }
}

/// One variant for each rule. The codes are stable, see [`Explain::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    #[error("is empty")]
    Empty,
    #[error("is not valid UTF-8")]
    NotUtf8,
    #[error("is absolute")]
    Absolute,
    #[error("begins with a drive letter")]
    DriveLetter,
    #[error("contains `..`, which leads out of the skill")]
    Traversal,
    #[error("contains `.` as a component")]
    CurrentFolder,
    #[error("contains an empty component (`//`, or a `/` at the end)")]
    EmptyComponent,
    #[error("contains a backslash, which is a separator on Windows")]
    Backslash,
    #[error("contains the control character {}", code_point(*.0))]
    ControlCharacter(char),
    #[error("contains the invisible or direction-changing character {}", code_point(*.0))]
    InvisibleCharacter(char),
    #[error("contains `{0}`, which Windows does not allow in a name")]
    WindowsCharacter(char),
    #[error("uses a name that is a device on Windows")]
    WindowsReserved,
    #[error("has a component that ends with a dot or a space, which Windows drops")]
    TrailingDotOrSpace,
    #[error("has a component that some file systems read as `/`, `.` or `..`")]
    Lookalike,
    #[error("lies in a version control folder, whose hooks and settings would be run")]
    VersionControl,
    #[error("is {bytes} bytes long, more than the {max} allowed")]
    TooLong { bytes: usize, max: usize },
    #[error("is {depth} levels deep, more than the {max} allowed")]
    TooDeep { depth: usize, max: usize },
    #[error("appears twice")]
    Duplicate,
    #[error("differs from `{other}` only in upper and lower case")]
    CaseCollision { other: String },
    #[error("differs from `{other}` only in its Unicode normal form")]
    NormalisationCollision { other: String },
    #[error("is both a file and a folder")]
    FileFolderConflict,
}

impl Explain for PathError {
    fn code(&self) -> &'static str {
        match self.problem {
            PathProblem::Empty => "path-empty",
            PathProblem::NotUtf8 => "path-not-utf8",
            PathProblem::Absolute => "path-absolute",
            PathProblem::DriveLetter => "path-drive-letter",
            PathProblem::Traversal => "path-traversal",
            PathProblem::CurrentFolder => "path-current-folder",
            PathProblem::EmptyComponent => "path-empty-component",
            PathProblem::Backslash => "path-backslash",
            PathProblem::ControlCharacter(_) => "path-control-character",
            PathProblem::InvisibleCharacter(_) => "path-invisible-character",
            PathProblem::WindowsCharacter(_) => "path-windows-character",
            PathProblem::WindowsReserved => "path-windows-reserved",
            PathProblem::TrailingDotOrSpace => "path-trailing-dot-or-space",
            PathProblem::Lookalike => "path-lookalike",
            PathProblem::VersionControl => "path-version-control",
            PathProblem::TooLong { .. } => "path-too-long",
            PathProblem::TooDeep { .. } => "path-too-deep",
            PathProblem::Duplicate => "path-duplicate",
            PathProblem::CaseCollision { .. } => "path-case-collision",
            PathProblem::NormalisationCollision { .. } => "path-normalisation-collision",
            PathProblem::FileFolderConflict => "path-file-folder-conflict",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match self.problem {
            PathProblem::Empty | PathProblem::EmptyComponent | PathProblem::CurrentFolder => {
                "write paths as `folder/file`, relative to the skill's folder"
            }
            PathProblem::NotUtf8 => "rename the file so that its name is UTF-8",
            PathProblem::Absolute | PathProblem::DriveLetter | PathProblem::Traversal => {
                "a skill may only contain files below its own folder; pack it again with `skills pack`"
            }
            PathProblem::Backslash => {
                "use `/` between folders; pack the skill again with `skills pack`"
            }
            PathProblem::ControlCharacter(_)
            | PathProblem::InvisibleCharacter(_)
            | PathProblem::WindowsCharacter(_)
            | PathProblem::WindowsReserved
            | PathProblem::TrailingDotOrSpace
            | PathProblem::Lookalike => {
                "rename the file: letters, digits, `-`, `_` and `.` are safe everywhere"
            }
            PathProblem::VersionControl => {
                "leave `.git`, `.hg` and `.svn` out; `skills pack` does that by itself"
            }
            PathProblem::TooLong { .. } => "shorten the names of the file and its folders",
            PathProblem::TooDeep { .. } => {
                "move the file up; references are best kept one level deep"
            }
            PathProblem::Duplicate => {
                "an archive may hold each file once; pack it again with `skills pack`"
            }
            PathProblem::CaseCollision { .. } | PathProblem::NormalisationCollision { .. } => {
                "rename one of the two: on macOS and Windows they would be the same file"
            }
            PathProblem::FileFolderConflict => "rename the file or the folder",
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            file: Some(self.path.clone()),
            line: None,
            field: None,
        })
    }
}

/// A path that keeps every rule which can be judged without its neighbours.
#[derive(Debug)]
pub(crate) struct CheckedPath {
    /// As it was given; its components line up with those of `key`.
    pub raw: String,
    /// NFC, which is how the tree stores it: archives made on macOS hold NFD.
    pub path: String,
    /// Equal for two paths that any common file system would take for one.
    pub key: String,
}

/// Checks `raw` against every rule that concerns the path alone.
pub(crate) fn check(raw: &str, limits: &Limits) -> Result<CheckedPath, PathError> {
    judge(raw, limits).map_err(|problem| PathError::new(raw, problem))
}

/// The same for a path that may not even be text.
pub(crate) fn check_bytes(raw: &[u8], limits: &Limits) -> Result<CheckedPath, PathError> {
    match std::str::from_utf8(raw) {
        Ok(text) => check(text, limits),
        Err(_) => Err(PathError::new(
            &String::from_utf8_lossy(raw),
            PathProblem::NotUtf8,
        )),
    }
}

fn judge(raw: &str, limits: &Limits) -> Result<CheckedPath, PathProblem> {
    if raw.is_empty() {
        return Err(PathProblem::Empty);
    }
    // First, so that nothing below works on more than a few hundred bytes.
    check_length(raw, limits)?;
    if raw.starts_with('/') {
        return Err(PathProblem::Absolute);
    }
    if matches!(raw.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(PathProblem::DriveLetter);
    }
    raw.chars().try_for_each(check_character)?;
    let depth = raw.split('/').count();
    if depth > limits.depth_max {
        return Err(PathProblem::TooDeep {
            depth,
            max: limits.depth_max,
        });
    }
    raw.split('/').try_for_each(check_component)?;
    let path = if is_nfc(raw) {
        raw.to_owned()
    } else {
        raw.nfc().collect()
    };
    // Composition can lengthen a text: a few characters are excluded from it.
    check_length(&path, limits)?;
    Ok(CheckedPath {
        key: collision_key(raw),
        path,
        raw: raw.to_owned(),
    })
}

fn check_length(path: &str, limits: &Limits) -> Result<(), PathProblem> {
    if path.len() > limits.path_bytes_max {
        return Err(PathProblem::TooLong {
            bytes: path.len(),
            max: limits.path_bytes_max,
        });
    }
    Ok(())
}

fn check_character(c: char) -> Result<(), PathProblem> {
    match c {
        '\\' => Err(PathProblem::Backslash),
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => Err(PathProblem::WindowsCharacter(c)),
        c if c.is_control() => Err(PathProblem::ControlCharacter(c)),
        c if is_invisible(c) => Err(PathProblem::InvisibleCharacter(c)),
        _ => Ok(()),
    }
}

fn check_component(component: &str) -> Result<(), PathProblem> {
    match component {
        "" => return Err(PathProblem::EmptyComponent),
        "." => return Err(PathProblem::CurrentFolder),
        ".." => return Err(PathProblem::Traversal),
        _ if component.ends_with(['.', ' ']) => return Err(PathProblem::TrailingDotOrSpace),
        _ => {}
    }
    let key = collision_key(component);
    if key.contains(['/', '\\']) || key == "." || key == ".." {
        return Err(PathProblem::Lookalike);
    }
    // `git~1` is the short name that Windows gives to `.git`.
    if matches!(key.as_str(), ".git" | "git~1" | ".hg" | ".svn") {
        return Err(PathProblem::VersionControl);
    }
    if is_windows_device(&key) {
        return Err(PathProblem::WindowsReserved);
    }
    Ok(())
}

/// Whether Windows takes the name for a device, with any extension: `nul`, `com1.txt`, `CON .md`.
/// `key` is folded, so `COM¹` (which Windows reserves too) arrives as `com1`.
fn is_windows_device(key: &str) -> bool {
    let stem = key.split('.').next().unwrap_or(key).trim_end_matches(' ');
    match stem {
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$" | "clock$" => true,
        _ => matches!(
            stem.as_bytes(),
            [b'c', b'o', b'm', b'0'..=b'9'] | [b'l', b'p', b't', b'0'..=b'9']
        ),
    }
}

/// The form in which two names collide: compatibility-normalised and case-folded.
///
/// Upper-casing before lower-casing folds what lower-casing alone keeps apart (`ß` and `SS`, the
/// two small sigmas). The result may join names that one file system or another keeps apart.
pub(crate) fn collision_key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded: String = text
        .nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    folded.nfkc().collect()
}

/// Whether two texts are equal once compatibility-normalised, case aside.
pub(crate) fn same_but_for_normalisation(a: &str, b: &str) -> bool {
    a.nfkc().eq(b.nfkc())
}

/// Characters that show nothing, or reorder what is shown: default-ignorable code points
/// (Unicode DerivedCoreProperties) with the bidirectional controls, separators and noncharacters.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{fdd0}'..='\u{fdef}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// `text` with everything escaped that could disturb a terminal or deceive a reader, and cut to
/// a length that fits a message.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(SHOWN_CHARS_MAX));
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn code_point(c: char) -> impl fmt::Display {
    struct CodePoint(char);
    impl fmt::Display for CodePoint {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "U+{:04X}", self.0 as u32)
        }
    }
    CodePoint(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str) -> PathProblem {
        check(path, &Limits::default())
            .expect_err("this path breaks a rule")
            .problem
    }

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "SKILL.md",
            "scripts/run.py",
            ".skill/openai.json",
            "a b.txt",
            "désert.md",
            "日本/語.md",
            ".gitignore",
            "console.md",
        ] {
            check(path, &Limits::default()).expect(path);
        }
    }

    #[test]
    fn each_rule_refuses_with_its_own_problem() {
        use PathProblem as P;
        assert_eq!(problem(""), P::Empty);
        assert_eq!(problem("/etc/passwd"), P::Absolute);
        assert_eq!(problem("C:evil"), P::DriveLetter);
        assert_eq!(problem("a/../b"), P::Traversal);
        assert_eq!(problem("a/./b"), P::CurrentFolder);
        assert_eq!(problem("a//b"), P::EmptyComponent);
        assert_eq!(problem("a/"), P::EmptyComponent);
        assert_eq!(problem("a\\b"), P::Backslash);
        assert_eq!(problem("a\0b"), P::ControlCharacter('\0'));
        assert_eq!(problem("a\u{85}b"), P::ControlCharacter('\u{85}'));
        assert_eq!(problem("a\u{202e}b"), P::InvisibleCharacter('\u{202e}'));
        assert_eq!(problem("a\u{200b}b"), P::InvisibleCharacter('\u{200b}'));
        assert_eq!(problem("a\u{e0041}b"), P::InvisibleCharacter('\u{e0041}'));
        assert_eq!(problem("a:b"), P::DriveLetter);
        assert_eq!(problem("ab:c"), P::WindowsCharacter(':'));
        assert_eq!(problem("a*"), P::WindowsCharacter('*'));
        for device in ["NUL", "nul.txt", "x/Com1.md", "COM¹", "con .md", "lpt0"] {
            assert_eq!(problem(device), P::WindowsReserved, "{device}");
        }
        assert_eq!(problem("a./b"), P::TrailingDotOrSpace);
        assert_eq!(problem("a "), P::TrailingDotOrSpace);
        assert_eq!(problem("a／b"), P::Lookalike);
        assert_eq!(problem("‥/b"), P::Lookalike);
        assert_eq!(problem("x/.GIT/config"), P::VersionControl);
        assert_eq!(problem("git~1/config"), P::VersionControl);
    }

    #[test]
    fn length_and_depth_are_bounded_to_the_byte_and_level() {
        let limits = Limits {
            path_bytes_max: 5,
            depth_max: 2,
            ..Limits::default()
        };
        check("ab/de", &limits).expect("five bytes, two levels");
        assert_eq!(
            check("ab/def", &limits).expect_err("six bytes").problem,
            PathProblem::TooLong { bytes: 6, max: 5 }
        );
        assert_eq!(
            check("a/b/c", &limits).expect_err("three levels").problem,
            PathProblem::TooDeep { depth: 3, max: 2 }
        );
    }

    #[test]
    fn names_that_a_file_system_would_join_share_a_key() {
        for (a, b) in [
            ("README", "readme"),
            ("STRASSE", "straße"),
            ("ΣΑΣ", "σας"),
            ("ﬁle", "file"),
            ("e\u{301}", "é"),
            ("Å", "\u{212b}"),
        ] {
            assert_eq!(collision_key(a), collision_key(b), "{a} {b}");
        }
        assert_ne!(collision_key("a"), collision_key("b"));
    }

    #[test]
    fn an_error_never_repeats_a_character_that_could_deceive_its_reader() {
        let error = check("a\u{202e}gpj.exe\u{1b}[2J", &Limits::default()).expect_err("refused");
        assert_eq!(error.path, "a\\u{202e}gpj.exe\\u{1b}[2J");
        let long = check(&"x".repeat(100_000), &Limits::default()).expect_err("refused");
        assert_eq!(long.path.chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
