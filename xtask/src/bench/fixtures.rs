//! Skills to measure with: made here, of the size that public skills have.

use std::path::Path;

use crate::Outcome;

/// How many skills the npm peer's own measurement installs.
pub const SKILLS: usize = 18;

/// Writes `count` skills of about 40 KB in five files below `dir`.
pub fn skills(dir: &Path, count: usize) -> Outcome {
    for number in 0..count {
        let name = format!("sample-skill-{number}");
        let description = format!(
            "Explains step {number} of a data pipeline. Use it when a table has to be cleaned."
        );
        let body = paragraph(number, 120);
        let files = [
            (
                "SKILL.md",
                format!(
                    "---\nname: {name}\ndescription: {description}\nlicense: MIT\n---\n\n# Step {number}\n\n{body}"
                ),
            ),
            ("references/guide.md", paragraph(number + 1, 160)),
            ("references/faq.md", paragraph(number + 2, 80)),
            ("scripts/run.sh", "#!/bin/sh\ncat\n".to_owned()),
            ("LICENSE", paragraph(3, 20)),
        ];
        for (path, text) in files {
            let path = dir.join(&name).join(path);
            path.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .map_err(|error| error.to_string())?;
            std::fs::write(&path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Lines of varied text (a constant line would compress as no real text does).
fn paragraph(seed: usize, lines: usize) -> String {
    const WORDS: [&str; 16] = [
        "column", "row", "median", "clean", "merge", "report", "value", "missing", "header",
        "parse", "export", "filter", "join", "group", "average", "validate",
    ];
    let mut state = seed as u64 + 1;
    let mut text = String::new();
    for _ in 0..lines {
        for _ in 0..14 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(state >> 60) as usize]);
            text.push_str(&format!("{:x} ", (state >> 40) & 0xff));
        }
        text.push('\n');
    }
    text
}
