//! Skills for the tests, made of text.

use skill_format::{Diagnostic, ReadOptions, Skill, SkillFile, SkillTree};

/// A tree of plain files.
pub fn tree(files: &[(&str, &str)]) -> SkillTree {
    let mut tree = SkillTree::new();
    for (path, text) in files {
        tree.insert(path, SkillFile::plain(*text))
            .expect("a good path");
    }
    tree
}

/// A tree with this `SKILL.md` only.
pub fn skill_md(bytes: impl AsRef<[u8]>) -> SkillTree {
    let mut tree = SkillTree::new();
    tree.insert("SKILL.md", SkillFile::plain(bytes.as_ref()))
        .expect("a good path");
    tree
}

/// A tree with a correct `SKILL.md` and this `skill.yaml`.
pub fn skill_yaml(bytes: impl AsRef<[u8]>) -> SkillTree {
    let mut tree = skill_md(PLAIN);
    tree.insert("skill.yaml", SkillFile::plain(bytes.as_ref()))
        .expect("a good path");
    tree
}

pub const PLAIN: &str = "---\nname: sample\ndescription: Shows a sample. Use in tests.\nlicense: MIT\n\
    metadata:\n  version: \"1.0.0\"\n---\n\n# Sample\n\nDo it.\n";

/// Reads leniently; the tree must be a skill.
pub fn read(tree: SkillTree) -> Skill {
    Skill::from_tree(tree, &ReadOptions::default()).expect("a skill")
}

/// `file:line code` of each remark.
pub fn codes(remarks: &[Diagnostic]) -> Vec<String> {
    let place = |remark: &Diagnostic| {
        let file = remark.file.clone().unwrap_or_default();
        let line = remark
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        format!("{file}{line} {} {}", remark.severity, remark.code)
    };
    remarks.iter().map(place).collect()
}

/// The codes of the errors that make a tree no skill, with their lines.
pub fn errors(tree: SkillTree) -> Vec<String> {
    let error = Skill::from_tree(tree, &ReadOptions::default()).expect_err("no skill");
    let errors: Vec<Diagnostic> = error.errors().cloned().collect();
    codes(&errors)
}

/// The seed's `skill.yaml`, with what the platform adds to it.
pub const FULL_YAML: &str = r#"# Universal skill metadata
name: data-analysis-expert
version: 1.10.0
description: Expert for data analysis and visualization tasks
author: roundtable-community
license: MIT
repository: https://github.com/roundtable-community/data-analysis-expert
homepage: https://example.com/data-analysis-expert
tags:
  - data-science
  - analytics
capabilities:
  - data-loading
  - visualization
frameworks:
  - name: anthropic-claude
    compatibility: ">=2.0.0"
    instructions-file: SKILL.md
  - name: openai
    compatibility: ">=1.0.0"
  - name: roundtable
    compatibility: ">=1.0.0"
dependencies:
  roundtable: ">=1.0.0"
  csv-reader: ^1.2
  skills:
    plotter: "1.x || 2.x"
  python:
    pandas: ">=1.0.0"
    numpy:
  system: [jq, "curl>=7"]
signing:
  algorithm: gpg
  public-key-id: "0x1234ABCD"
permissions:
  network: [api.example.com, "*.example.org:8443"]
  read: [data/**]
  write: [out/**]
  environment:
    - HOME_CITY
    - name: API_TOKEN
      required: false
      secret: true
      description: Token of the service
entrypoints:
  - name: analyze
    command: scripts/analyze.py
    description: Computes statistics of a table.
    input-schema:
      type: object
      properties:
        file: { type: string, description: Path of the table }
        limit: { type: integer, minimum: 1, default: 10 }
      required: [file]
      additionalProperties: false
    output-schema:
      type: object
    idempotent: true
    timeout-seconds: 60
"#;

pub const FULL_MD: &str = "---\nname: data-analysis-expert\ndescription: Expert system for data analysis and visualization\n\
    version: 1.10.0\nauthor: roundtable-community\n---\n\n## Instructions\n\nRead [the guide](references/guide.md) first.\n";

/// Everything that a package can have.
pub fn full() -> SkillTree {
    tree(&[
        ("SKILL.md", FULL_MD),
        ("skill.yaml", FULL_YAML),
        ("references/guide.md", "# Guide\n"),
        ("scripts/analyze.py", "print('{}')\n"),
        ("LICENSE", "MIT\n"),
    ])
}
