//! The files of a new skill, for each template.

use std::collections::BTreeMap;

use skill_format::{
    FrontmatterFields, PathError, SkillFile, SkillName, SkillTree, write_frontmatter,
};

use crate::cli::author::Template;

/// The version that a new skill begins with.
const VERSION: &str = "0.1.0";

/// What is known about the new skill.
pub struct Answers {
    pub name: SkillName,
    pub description: String,
    pub author: Option<String>,
    pub license: String,
}

/// A description to begin with: what and when, in the words of the name.
pub fn description(name: &SkillName) -> String {
    let words = name.as_str().replace('-', " ");
    format!("Helps with {words}. Use when the user asks for {words}.")
}

pub fn tree(answers: &Answers, template: Template, bare: bool) -> Result<SkillTree, PathError> {
    let mut tree = SkillTree::new();
    tree.insert("SKILL.md", SkillFile::plain(skill_md(answers, template)))?;
    if !bare {
        tree.insert(
            "skill.yaml",
            SkillFile::plain(skill_yaml(answers, template)),
        )?;
    }
    if let Some((path, script)) = script(template) {
        tree.insert(path, SkillFile::executable(script))?;
    }
    Ok(tree)
}

fn skill_md(answers: &Answers, template: Template) -> String {
    let mut metadata = BTreeMap::from([("version".to_owned(), VERSION.to_owned())]);
    metadata.extend(
        answers
            .author
            .clone()
            .map(|author| ("author".to_owned(), author)),
    );
    let frontmatter = write_frontmatter(&FrontmatterFields {
        name: answers.name.to_string(),
        description: answers.description.clone(),
        license: Some(answers.license.clone()).filter(|license| !license.is_empty()),
        metadata,
        ..FrontmatterFields::default()
    });
    let steps = match template {
        Template::Instruction => INSTRUCTION_STEPS,
        Template::Python => PYTHON_STEPS,
        Template::Bash => BASH_STEPS,
    };
    let title = title(&answers.name);
    format!("{frontmatter}\n# {title}\n\n{steps}")
}

/// `csv-analyzer` as `Csv analyzer`.
fn title(name: &SkillName) -> String {
    let words = name.as_str().replace('-', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

const INSTRUCTION_STEPS: &str = "\
## Steps

1. Find out what the user wants to achieve, and ask if it is not clear.
2. Do it, one step at a time, and check each result.
3. Say what was done and what is left.

## Examples

- Input: what a user may ask.
  Output: what a good answer looks like.
";

const PYTHON_STEPS: &str = "\
## Steps

1. Collect the text that the user wants to work on.
2. Give it to the script as JSON on standard input:

   ```sh
   echo '{\"text\": \"some text\"}' | python3 scripts/run.py
   ```

3. Explain the result to the user.

## When it fails

The script ends with exit code 1 and says on standard error what is wrong with its input.
";

const BASH_STEPS: &str = "\
## Steps

1. Collect the text that the user wants to work on.
2. Give it to the script on standard input:

   ```sh
   echo 'some text' | sh scripts/run.sh
   ```

3. Explain the result to the user.

## When it fails

The script ends with exit code 1 and says on standard error what is wrong with its input.
";

fn skill_yaml(answers: &Answers, template: Template) -> String {
    let name = &answers.name;
    let mut yaml = format!(
        "# What SKILL.md does not say. Name and version stand in both and must agree.\nname: {name}\nversion: {VERSION}\n\ntags: []\n\npermissions:\n  network: none\n"
    );
    if let Some((path, _)) = script(template) {
        yaml.push_str(&format!(
            "\nentrypoints:\n  - name: run\n    command: {path}\n"
        ));
        yaml.push_str(match template {
            Template::Python => PYTHON_SCHEMA,
            Template::Bash | Template::Instruction => BASH_ENTRY,
        });
    }
    yaml
}

// Not continued from an empty first line: that would eat the indentation.
const PYTHON_SCHEMA: &str = "    description: Counts the words of a text.
    idempotent: true
    timeout-seconds: 30
    input-schema:
      type: object
      properties:
        text:
          type: string
          description: The text to work on.
      required: [text]
      additionalProperties: false
";

const BASH_ENTRY: &str = "    description: Counts the words of the text on standard input.
    idempotent: true
    timeout-seconds: 30
";

fn script(template: Template) -> Option<(&'static str, &'static str)> {
    match template {
        Template::Instruction => None,
        Template::Python => Some(("scripts/run.py", PYTHON_SCRIPT)),
        Template::Bash => Some(("scripts/run.sh", BASH_SCRIPT)),
    }
}

const PYTHON_SCRIPT: &str = r#"#!/usr/bin/env python3
"""Reads {"text": "..."} from standard input and prints {"words": N}."""

import json
import sys


def main() -> int:
    try:
        text = json.load(sys.stdin)["text"]
    except (ValueError, KeyError, TypeError) as error:
        print(f'expected {{"text": "..."}} on standard input: {error!r}', file=sys.stderr)
        return 1
    json.dump({"words": len(str(text).split())}, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
"#;

const BASH_SCRIPT: &str = r#"#!/bin/sh
# Reads text from standard input and prints how many words it has.
set -eu

words=$(wc -w)
if [ "$words" -eq 0 ]; then
    echo "expected text on standard input" >&2
    exit 1
fi
echo "words: $words"
"#;
