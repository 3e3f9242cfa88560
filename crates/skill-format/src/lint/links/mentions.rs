//! Finds what a Markdown text refers to: the targets of links, and paths in code spans. Code
//! blocks are examples and are passed over.

/// Folders of the specification, whose files are mentioned as plain paths too.
const FOLDERS: [&str; 3] = ["scripts/", "references/", "assets/"];

/// A reference to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention<'a> {
    pub line: u32,
    /// The path as written, without fragment and query.
    pub target: &'a str,
    /// Whether it is a link, not a path in a code span.
    pub is_link: bool,
}

/// The references of `text`, whose first line has the number `first_line`, without repetitions
/// of a target on neighbouring lines.
pub(super) fn mentions(text: &str, first_line: u32) -> Vec<Mention<'_>> {
    let mut found: Vec<Mention<'_>> = Vec::new();
    let mut fence: Option<&str> = None;
    for (line, number) in text.lines().zip(first_line..) {
        let start = line.trim_start();
        match fence {
            Some(closing) => {
                if start.starts_with(closing) {
                    fence = None;
                }
                continue;
            }
            None => fence = opening_fence(start),
        }
        if fence.is_none() {
            scan_line(line, number, &mut found);
        }
    }
    found
}

fn opening_fence(line: &str) -> Option<&str> {
    ["```", "~~~"]
        .into_iter()
        .find(|fence| line.starts_with(fence))
}

fn scan_line<'a>(line: &'a str, number: u32, found: &mut Vec<Mention<'a>>) {
    let mut add = |target: Option<&'a str>, is_link| {
        if let Some(target) = target
            && !found
                .iter()
                .rev()
                .take(50)
                .any(|earlier| earlier.target == target)
        {
            found.push(Mention {
                line: number,
                target,
                is_link,
            });
        }
    };
    // Between backticks is code: every second piece.
    for (i, piece) in line.split('`').enumerate() {
        if i % 2 == 1 {
            add(path_in_code(piece), false);
        } else {
            for target in piece.split("](").skip(1) {
                add(link_target(target), true);
            }
        }
    }
}

/// The target of a link whose text has just ended with `](`.
fn link_target(rest: &str) -> Option<&str> {
    let target = match rest.strip_prefix('<') {
        Some(rest) => rest.split('>').next()?,
        // A title may follow after a space.
        None => rest.split([')', ' ']).next()?,
    };
    let is_address = target.contains(':') || target.starts_with(['#', '/', '~']);
    let path = target.split(['#', '?']).next()?;
    (!is_address && is_path(path)).then_some(path)
}

/// A code span that is the path of a file in one of the specification's folders.
fn path_in_code(code: &str) -> Option<&str> {
    let path = code.strip_prefix("./").unwrap_or(code);
    let in_folder = FOLDERS.iter().any(|folder| path.starts_with(folder));
    let file = path.rsplit('/').next()?;
    let is_file = file.contains('.') && !file.starts_with('.');
    (in_folder && is_file && is_path(path)).then_some(path)
}

/// Whether a text can be a path that is meant literally: no placeholders, no wildcards.
fn is_path(text: &str) -> bool {
    !text.is_empty()
        && !text.contains("...")
        && !text.contains([
            ' ', '<', '>', '{', '}', '*', '$', '%', '|', '\\', '[', ']', '…',
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<&str> {
        mentions(text, 1)
            .into_iter()
            .map(|mention| mention.target)
            .collect()
    }

    #[test]
    fn links_and_paths_in_code_are_found() {
        let text =
            "See [a](references/a.md#top \"title\") and ![b](<assets/b.png>).\nRun `scripts/c.py`.";
        assert_eq!(
            targets(text),
            ["references/a.md", "assets/b.png", "scripts/c.py"]
        );
        assert_eq!(mentions(text, 10)[2].line, 11);
    }

    #[test]
    fn what_is_no_file_of_the_skill_is_passed_over() {
        for text in [
            "[a](https://example.com/x.md)",
            "[a](#section)",
            "[a](mailto:alice@example.com)",
            "[a](/etc/passwd)",
            "[a](references/{name}.md)",
            "`scripts/<name>.py`",
            "`scripts/`",
            "`src/main.rs`",
            "```\n[a](missing.md)\n```",
            "~~~md\n[a](missing.md)\n~~~",
            "`[a](missing.md)`",
            "[a]()",
        ] {
            assert_eq!(targets(text), Vec::<&str>::new(), "{text}");
        }
    }
}
