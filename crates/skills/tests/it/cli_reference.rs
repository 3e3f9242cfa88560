//! docs/cli-reference.md is the program's own help, word for word.

use std::path::Path;

use crate::support::Sandbox;

/// The verbs in the order of `skills --help`.
pub fn verbs(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.run(&["--help"]).ok().stdout();
    help.lines()
        .take_while(|line| !line.starts_with("Options"))
        .filter_map(|line| {
            line.strip_prefix("  ")?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
        .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
        .collect()
}

/// The subcommands that a verb's help lists.
fn actions(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|action| action != "help")
        .collect()
}

fn reference() -> String {
    let sandbox = Sandbox::new();
    let help = |words: &[&str]| {
        let mut arguments = vec!["help"];
        arguments.extend(words);
        sandbox.run(&arguments).ok().stdout()
    };
    let mut text = String::from(
        "# Command reference\n\nGenerated from the program's own help by `cargo xtask cli-docs`.\n\n\
         Exit codes: 0 done, 1 failed, 2 bad input or wrong usage. With `--json` every command prints one document; a failure is `{\"error\": {code, message, …}}`.\n\n",
    );
    text.push_str(&format!(
        "```text\n{}```\n",
        sandbox.run(&["--help"]).ok().stdout()
    ));
    for verb in verbs(&sandbox) {
        let own = help(&[&verb]);
        text.push_str(&format!("\n## skills {verb}\n\n```text\n{own}```\n"));
        for action in actions(&own) {
            text.push_str(&format!(
                "\n### skills {verb} {action}\n\n```text\n{}```\n",
                help(&[&verb, &action])
            ));
        }
    }
    text
}

#[test]
fn the_committed_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli-reference.md");
    let current = reference();
    if std::env::var_os("SKILLS_WRITE_CLI_REFERENCE").is_some() {
        std::fs::write(&path, &current).expect("docs/cli-reference.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "run `cargo xtask cli-docs` and commit docs/cli-reference.md"
    );
}
