//! An audit as SARIF 2.1.0, for tools that show findings of many programs.

use serde_json::{Value, json};
use skill_format::SKILL_MD;

use super::rules::RULES;
use super::{AuditReport, Finding, Level};
use crate::lockfile::LOCK_FILE;

/// The report as one SARIF document.
pub fn sarif(report: &AuditReport, program_version: &str) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}}))
        .collect();
    let open = report.findings.iter().map(|finding| result(finding, None));
    let excused = report
        .suppressed
        .iter()
        .map(|excused| result(&excused.finding, Some(&excused.reason)));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "skills audit", "version": program_version, "rules": rules}},
            "results": open.chain(excused).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding, excuse: Option<&str>) -> Value {
    let message = match &finding.fix {
        Some(fix) => format!(
            "{} {}: {} ({fix})",
            finding.skill, finding.version, finding.message
        ),
        None => format!("{} {}: {}", finding.skill, finding.version, finding.message),
    };
    let places: Vec<Value> = if !finding.files.is_empty() {
        let paths = finding
            .files
            .iter()
            .map(|file| finding.path.join(&file.path));
        paths
            .map(|path| place(&path.display().to_string()))
            .collect()
    } else if finding.path.ends_with(LOCK_FILE) {
        vec![place(&finding.path.display().to_string())]
    } else {
        vec![place(&finding.path.join(SKILL_MD).display().to_string())]
    };
    let mut result = json!({
        "ruleId": finding.code,
        "level": match finding.level {
            Level::Info => "note",
            Level::Low | Level::Moderate => "warning",
            Level::High | Level::Critical => "error",
        },
        "message": {"text": message},
        "locations": places,
        "properties": {"severity": finding.level, "skill": finding.skill, "ids": finding.ids},
    });
    if let Some(reason) = excuse {
        result["suppressions"] = json!([{"kind": "external", "justification": reason}]);
    }
    result
}

fn place(path: &str) -> Value {
    json!({"physicalLocation": {"artifactLocation": {"uri": uri(path)}}})
}

/// A path as a URI reference (RFC 3986): everything but unreserved characters and slashes escaped.
fn uri(path: &str) -> String {
    let absolute = path.starts_with('/');
    let escaped: String = path
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if absolute {
        format!("file://{escaped}")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("/a b/é"), "file:///a%20b/%C3%A9");
        assert_eq!(uri("a/b.md"), "a/b.md");
    }

    #[test]
    fn the_rules_are_sorted() {
        assert!(RULES.is_sorted());
    }
}
