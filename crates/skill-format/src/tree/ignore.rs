//! `.skillignore`: which files of an author's folder stay out of the package.
//!
//! The patterns are those of `.gitignore`: one per line; `#` begins a comment and `\` takes the
//! meaning from the character after it; `!` takes back what an earlier line ignored; a `/` at the
//! end matches folders only; a `/` anywhere else ties the pattern to the root, without one it
//! matches at any level; `*` and `?` match within a component, `**` across components, `[a-z]` and
//! `[!a-z]` one character. The last pattern that matches decides. Only the file at the root is
//! read, and what lies in an ignored folder cannot be taken back.
//!
//! Knows texts and paths; reading folders is `folder.rs`'s.

/// Name of the file at the root of an author's folder.
pub(super) const FILE_NAME: &str = ".skillignore";

/// Longest `.skillignore`, in bytes. Matching costs at most this times the paths' length.
pub(super) const FILE_BYTES_MAX: u64 = 4 * 1024;

/// A line of `.skillignore` that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    #[error("is larger than {max} bytes")]
    TooLarge { max: u64 },
    #[error("is not valid UTF-8")]
    NotUtf8,
    #[error("line {line}: `[` without a closing `]`")]
    OpenClass { line: u32 },
    #[error("line {line}: ends with a `\\` that escapes nothing")]
    OpenEscape { line: u32 },
}

impl IgnoreError {
    /// The line it is about, from 1.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::TooLarge { .. } | Self::NotUtf8 => None,
            Self::OpenClass { line } | Self::OpenEscape { line } => Some(*line),
        }
    }
}

/// The patterns of one `.skillignore`, in their order.
#[derive(Debug, Default)]
pub(super) struct Ignore(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    components: Vec<Component>,
    folders_only: bool,
    takes_back: bool,
}

#[derive(Debug)]
enum Component {
    /// `**`: any number of components, none included.
    Any,
    Name(Vec<Token>),
}

#[derive(Debug)]
enum Token {
    Char(char),
    /// `?`
    AnyChar,
    /// `*`
    Star,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            patterns.extend(Pattern::parse(line, number)?);
        }
        Ok(Self(patterns))
    }

    /// Whether `path` (relative, `/`-separated) stays out.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let decisive = self
            .0
            .iter()
            .rev()
            .find(|pattern| pattern.matches(&names, is_folder));
        decisive.is_some_and(|pattern| !pattern.takes_back)
    }
}

impl Pattern {
    fn parse(line: &str, number: u32) -> Result<Option<Self>, IgnoreError> {
        let line = trim_end_unescaped(line);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (takes_back, line) = line
            .strip_prefix('!')
            .map_or((false, line), |rest| (true, rest));
        let (folders_only, line) = line
            .strip_suffix('/')
            .map_or((false, line), |rest| (true, rest));
        let anchored = line.contains('/');
        let line = line.strip_prefix('/').unwrap_or(line);
        let mut components = Vec::new();
        if !anchored {
            components.push(Component::Any);
        }
        for name in line.split('/') {
            components.push(if name == "**" {
                Component::Any
            } else {
                Component::Name(tokens(name, number)?)
            });
        }
        Ok(Some(Self {
            components,
            folders_only,
            takes_back,
        }))
    }

    fn matches(&self, names: &[&str], is_folder: bool) -> bool {
        if self.folders_only && !is_folder {
            return false;
        }
        // A trailing `**` matches what lies inside, not the folder itself.
        let inside_only = matches!(self.components.last(), Some(Component::Any));
        wildcard(
            &self.components,
            names,
            |component| matches!(component, Component::Any),
            |component, name| match component {
                Component::Any => false,
                Component::Name(tokens) => matches_name(tokens, name),
            },
            inside_only,
        )
    }
}

fn matches_name(tokens: &[Token], name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    wildcard(
        tokens,
        &chars,
        |token| matches!(token, Token::Star),
        |token, c| match token {
            Token::Star => false,
            Token::AnyChar => true,
            Token::Char(expected) => expected == c,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&c)) != *negated
            }
        },
        false,
    )
}

/// Matches `items` against a pattern with elements that stand for any number of items, in time
/// proportional to pattern times items: after a mismatch only the last such element is retried,
/// since an earlier one cannot do better. `last_takes_one` asks a closing one for at least an item.
fn wildcard<P, T>(
    pattern: &[P],
    items: &[T],
    is_any: impl Fn(&P) -> bool,
    matches_one: impl Fn(&P, &T) -> bool,
    last_takes_one: bool,
) -> bool {
    let (mut at_pattern, mut at_item) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at_pattern) {
            Some(element) if is_any(element) => {
                let closing = at_pattern + 1 == pattern.len();
                if closing {
                    return !last_takes_one || at_item < items.len();
                }
                at_pattern += 1;
                retry = Some((at_pattern, at_item));
                continue;
            }
            Some(element)
                if items
                    .get(at_item)
                    .is_some_and(|item| matches_one(element, item)) =>
            {
                at_pattern += 1;
                at_item += 1;
                continue;
            }
            None if at_item == items.len() => return true,
            _ => {}
        }
        match retry {
            Some((after_any, taken)) if taken < items.len() => {
                at_pattern = after_any;
                at_item = taken + 1;
                retry = Some((after_any, taken + 1));
            }
            _ => return false,
        }
    }
}

/// Spaces at the end do not count, unless the last is escaped.
fn trim_end_unescaped(line: &str) -> &str {
    let trimmed = line.trim_end_matches([' ', '\t', '\r']);
    let escapes = trimmed.chars().rev().take_while(|c| *c == '\\').count();
    if escapes % 2 == 1 && trimmed.len() < line.len() {
        &line[..=trimmed.len()]
    } else {
        trimmed
    }
}

fn tokens(name: &str, line: u32) -> Result<Vec<Token>, IgnoreError> {
    let mut tokens = Vec::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if matches!(tokens.last(), Some(Token::Star)) => continue,
            '*' => Token::Star,
            '?' => Token::AnyChar,
            '[' => class(&mut chars, line)?,
            '\\' => Token::Char(chars.next().ok_or(IgnoreError::OpenEscape { line })?),
            other => Token::Char(other),
        });
    }
    Ok(tokens)
}

/// What follows a `[`, up to and with its `]`. A `]` that comes first is an ordinary character.
fn class(chars: &mut std::str::Chars<'_>, line: u32) -> Result<Token, IgnoreError> {
    let open = || IgnoreError::OpenClass { line };
    let mut next = chars.next().ok_or_else(open)?;
    let negated = matches!(next, '!' | '^');
    if negated {
        next = chars.next().ok_or_else(open)?;
    }
    let mut ranges = Vec::new();
    loop {
        let low = if next == '\\' {
            chars.next().ok_or_else(open)?
        } else {
            next
        };
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) if high != ']' => {
                ranges.push((low, high));
                *chars = ahead;
            }
            _ => ranges.push((low, low)),
        }
        next = chars.next().ok_or_else(open)?;
        if next == ']' {
            return Ok(Token::Class { negated, ranges });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignores(patterns: &str, path: &str) -> bool {
        let (path, is_folder) = path
            .strip_suffix('/')
            .map_or((path, false), |folder| (folder, true));
        Ignore::parse(patterns)
            .expect("these are patterns")
            .ignores(path, is_folder)
    }

    /// Each row was checked against `git check-ignore` (git 2.47).
    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let rows = [
            ("*.log", "a.log", true),
            ("*.log", "deep/down/a.log", true),
            ("*.log", "a.log.txt", false),
            ("/a.log", "a.log", true),
            ("/a.log", "b/a.log", false),
            ("b/a.log", "b/a.log", true),
            ("b/a.log", "c/b/a.log", false),
            ("build/", "build/", true),
            ("build/", "build", false),
            ("build/", "x/build/", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a/", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("\\#a", "#a", true),
            ("# a", "# a", false),
            ("\\!a", "!a", true),
            ("*.md\n!SKILL.md", "SKILL.md", false),
            ("*.md\n!SKILL.md", "other.md", true),
            ("!SKILL.md\n*.md", "SKILL.md", true),
            ("a ", "a", true),
            ("a\\ ", "a ", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("*", "x", true),
            ("x\r", "x", true),
        ];
        for (patterns, path, expected) in rows {
            assert_eq!(
                ignores(patterns, path),
                expected,
                "{patterns:?} on {path:?}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_names_its_line() {
        assert_eq!(
            Ignore::parse("a\n[b").expect_err("open"),
            IgnoreError::OpenClass { line: 2 }
        );
        assert_eq!(
            Ignore::parse("b\\").expect_err("open"),
            IgnoreError::OpenEscape { line: 1 }
        );
    }

    #[test]
    fn many_stars_do_not_make_matching_slow() {
        let pattern = format!("{}b", "*a".repeat(1000));
        let name = "a".repeat(255);
        assert!(!ignores(&pattern, &name));
    }
}
