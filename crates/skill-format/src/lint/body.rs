//! The instructions: there are some, and not more than an agent should read at once.

use crate::diagnostic::Diagnostic;

use super::spec::TOKEN_CHARS;
use super::{Report, Subject};

/// Longest body, in lines (specification, progressive disclosure).
const LINES_MAX: usize = 500;
/// Longest body, in tokens (specification, progressive disclosure).
const TOKENS_MAX: usize = 5_000;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(md) = subject.md else { return };
    let help = "move details into files under `references/`, which are read only when needed";
    if md.body.trim().is_empty() {
        report.md(Diagnostic::warning(
            "body-empty",
            "there are no instructions after the frontmatter",
        )
        .line(md.body_line)
        .help("say step by step what the agent is to do"));
    }
    let lines = md.body.lines().count();
    if lines >= LINES_MAX {
        let message = format!("the body has {lines} lines; fewer than {LINES_MAX} are recommended");
        report.md(Diagnostic::warning("body-too-long", message)
            .line(md.body_line)
            .help(help));
    }
    let tokens = md.body.chars().count().div_ceil(TOKEN_CHARS);
    if tokens > TOKENS_MAX {
        let message =
            format!("the body has about {tokens} tokens; fewer than {TOKENS_MAX} are recommended");
        report.md(Diagnostic::info("body-many-tokens", message)
            .line(md.body_line)
            .help(help));
    }
}
