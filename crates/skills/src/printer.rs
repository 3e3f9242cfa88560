//! The only place that writes to standard output and standard error.
//!
//! Results go to standard output, everything about them (progress, warnings, errors) to standard
//! error. With `--json` a command prints exactly one document, errors included.

use std::io::{ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use skill_format::{Diagnostic, Severity};

use crate::cli::{ColorWhen, GlobalArgs};
use crate::failure::Failure;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// How a command speaks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Printer {
    json: bool,
    quiet: bool,
    verbosity: u8,
    stdout_color: ColorChoice,
    stderr_color: ColorChoice,
}

impl Printer {
    pub fn new(args: &GlobalArgs) -> Self {
        let choice = |auto: ColorChoice| match args.color {
            ColorWhen::Auto => auto,
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        };
        Self {
            json: args.json,
            quiet: args.quiet,
            verbosity: args.verbose,
            stdout_color: choice(AutoStream::choice(&std::io::stdout())),
            stderr_color: choice(AutoStream::choice(&std::io::stderr())),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn is_verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// Whether someone can see progress on standard error.
    pub fn is_interactive(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Whether standard error takes colours, for whoever else writes there.
    #[cfg(feature = "server")]
    pub fn colors_on_stderr(&self) -> bool {
        !matches!(self.stderr_color, ColorChoice::Never)
    }

    /// One line of result; left out with `--json`.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.to_stdout(&format!("{}\n", text.as_ref()));
        }
    }

    /// Bytes of result exactly as they are, such as a skill's output.
    pub fn raw(&self, bytes: &[u8]) {
        write_or_stop(&mut std::io::stdout().lock(), bytes);
    }

    /// Bytes that belong beside the result, exactly as they are.
    pub fn raw_error(&self, bytes: &[u8]) {
        // Nothing can be reported when standard error itself is gone.
        let _ = std::io::stderr().lock().write_all(bytes);
    }

    /// The document of a `--json` run; nothing without.
    pub fn document(&self, value: &impl Serialize) {
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_else(|error| {
                // Only a map with non-text keys can fail here, which none of ours has.
                format!("{{\"error\":{{\"code\":\"internal\",\"message\":\"{error}\"}}}}")
            });
            write_or_stop(
                &mut std::io::stdout().lock(),
                format!("{text}\n").as_bytes(),
            );
        }
    }

    /// Rows under headings, fitted to the terminal; nothing with `--json`.
    pub fn table<const N: usize>(
        &self,
        headings: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        if self.json {
            return;
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            // A pipe has no width: programs read whole cells.
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(headings.map(|heading| heading.to_uppercase()));
        for row in rows {
            table.add_row(row.map(|cell| safe(&cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (number, line) in table.lines().enumerate() {
            let line = line.trim_end();
            self.to_stdout(&if number == 0 {
                format!("{DIM}{line}{DIM:#}\n")
            } else {
                format!("{line}\n")
            });
        }
    }

    /// A finished step, for people: green verb, then what.
    pub fn done(&self, verb: &str, what: impl AsRef<str>) {
        self.about(GREEN, verb, what.as_ref());
    }

    /// Something to know that is no warning.
    pub fn note(&self, text: impl AsRef<str>) {
        self.about(CYAN, "note:", text.as_ref());
    }

    /// Something that may need attention. Warnings show with `--json` too, on standard error.
    pub fn warn(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.to_stderr(&format!(
                "{YELLOW}warning:{YELLOW:#} {}\n",
                safe(text.as_ref())
            ));
        }
    }

    /// Detail that only `--verbose` shows.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.is_verbose() && !self.json {
            self.to_stderr(&format!("{DIM}{}{DIM:#}\n", safe(text.as_ref())));
        }
    }

    /// A finding of the linter, with its place and what to do.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        if self.json {
            return;
        }
        let (style, word) = match diagnostic.severity {
            Severity::Error => (RED, "error"),
            Severity::Warning => (YELLOW, "warning"),
            Severity::Info => (CYAN, "info"),
        };
        let mut text = String::new();
        if let Some(file) = &diagnostic.file {
            text.push_str(&safe(file));
            if let Some(line) = diagnostic.line {
                text.push_str(&format!(":{line}"));
            }
            text.push_str(": ");
        }
        text = format!(
            "{BOLD}{text}{BOLD:#}{style}{word}{style:#} {} {DIM}[{}]{DIM:#}\n",
            safe(&diagnostic.message),
            diagnostic.code
        );
        if let Some(help) = &diagnostic.help {
            text.push_str(&format!("  {DIM}help:{DIM:#} {}\n", safe(help)));
        }
        self.to_stdout(&text);
    }

    /// Why the command failed.
    pub fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.json {
            self.document(&serde_json::json!({ "error": failure }));
            return;
        }
        let mut text = format!(
            "{RED}error:{RED:#} {} {DIM}[{}]{DIM:#}\n",
            safe(&failure.message),
            failure.code
        );
        if failure.file.is_some() || failure.field.is_some() {
            let mut place = failure.file.clone().unwrap_or_default();
            if let Some(line) = failure.line {
                place.push_str(&format!(":{line}"));
            }
            if let Some(field) = &failure.field {
                place.push_str(&format!(" ({field})"));
            }
            text.push_str(&format!("  {DIM}at:{DIM:#} {}\n", safe(place.trim_start())));
        }
        for cause in &failure.causes {
            text.push_str(&format!("  {DIM}because:{DIM:#} {}\n", safe(cause)));
        }
        if let Some(help) = &failure.help {
            text.push_str(&format!("  {DIM}help:{DIM:#} {}\n", safe(help)));
        }
        self.to_stderr(&text);
    }

    /// A bar for work of known length; hidden where nobody can see it.
    pub fn progress(&self, what: &str, length: u64) -> ProgressBar {
        if !self.is_interactive() {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("{msg:.cyan} [{bar:30}] {bytes}/{total_bytes} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(length)
            .with_style(style)
            .with_message(what.to_owned())
    }

    /// A spinner for work of unknown length; hidden where nobody can see it.
    pub fn spinner(&self, what: &str) -> ProgressBar {
        if !self.is_interactive() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        bar
    }

    /// Emphasis inside a line.
    pub fn bold(&self, text: &str) -> String {
        format!("{BOLD}{}{BOLD:#}", safe(text))
    }

    /// What matters less inside a line.
    pub fn dim(&self, text: &str) -> String {
        format!("{DIM}{}{DIM:#}", safe(text))
    }

    fn about(&self, style: Style, word: &str, text: &str) {
        if !self.quiet && !self.json {
            self.to_stderr(&format!("{style}{word}{style:#} {}\n", safe(text)));
        }
    }

    fn to_stdout(&self, text: &str) {
        write_or_stop(
            &mut AutoStream::new(std::io::stdout().lock(), self.stdout_color),
            text.as_bytes(),
        );
    }

    fn to_stderr(&self, text: &str) {
        // Nothing can be reported when standard error itself is gone.
        let _ =
            AutoStream::new(std::io::stderr().lock(), self.stderr_color).write_all(text.as_bytes());
    }
}

/// Characters of a text that are shown: more is somebody's mistake, repeated back.
const TEXT_CHARS_MAX: usize = 8_000;

/// Text from strangers must not steer the terminal, nor flood it: control characters become
/// visible, and what is very long is cut.
pub fn safe(text: &str) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        return safe(&text[..end]) + "…";
    }
    text.chars()
        .flat_map(|c| match c {
            '\n' | '\t' => vec![c],
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
}

/// A reader that went away (`skills list | head`) ends the program quietly.
fn write_or_stop(out: &mut impl Write, bytes: &[u8]) {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            // The result is lost, so the command has failed, whatever it did.
            let _ = writeln!(
                std::io::stderr(),
                "error: standard output cannot be written: {error} [output]"
            );
            std::process::exit(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_strangers_are_shown_not_obeyed() {
        assert_eq!(safe("a\u{1b}[2Jb\tc"), "a\\u{1b}[2Jb\tc");
    }
}
