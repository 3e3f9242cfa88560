//! How bad an advisory is: what its database says, else the base score of its CVSS vector.

use serde::Serialize;
use serde_json::Value;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Low,
    /// Also where an advisory does not say, or says it only in a CVSS 4 vector.
    Moderate,
    High,
    Critical,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// From an OSV entry (schema 1.7, `severity` and `database_specific.severity`) or a part of one.
pub(super) fn level(entry: &Value) -> Option<Level> {
    let stated = entry
        .pointer("/database_specific/severity")
        .or_else(|| entry.pointer("/ecosystem_specific/severity"))
        .and_then(Value::as_str)
        .and_then(named);
    stated.or_else(|| {
        entry
            .get("severity")?
            .as_array()?
            .iter()
            .filter_map(|severity| severity.get("score")?.as_str())
            .filter_map(cvss3_base_score)
            .map(from_score)
            .max()
    })
}

fn named(text: &str) -> Option<Level> {
    match text.to_ascii_uppercase().as_str() {
        "CRITICAL" => Some(Level::Critical),
        "HIGH" => Some(Level::High),
        "MODERATE" | "MEDIUM" => Some(Level::Moderate),
        "LOW" => Some(Level::Low),
        "NONE" | "INFO" => Some(Level::Info),
        _ => None,
    }
}

/// The rating scale of CVSS 3.1, section 5.
fn from_score(score: f64) -> Level {
    match score {
        score if score >= 9.0 => Level::Critical,
        score if score >= 7.0 => Level::High,
        score if score >= 4.0 => Level::Moderate,
        score if score > 0.0 => Level::Low,
        _ => Level::Info,
    }
}

/// The base score of a CVSS 3.0 or 3.1 vector (specification, section 7.1).
fn cvss3_base_score(vector: &str) -> Option<f64> {
    let metrics = vector
        .strip_prefix("CVSS:3.1/")
        .or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let metric = |name: &str| {
        metrics.split('/').find_map(|metric| {
            let (key, value) = metric.split_once(':')?;
            (key == name).then_some(value)
        })
    };
    let scope_changed = match metric("S")? {
        "U" => false,
        "C" => true,
        _ => return None,
    };
    let impact_of = |name: &str| match metric(name)? {
        "H" => Some(0.56_f64),
        "L" => Some(0.22),
        "N" => Some(0.0),
        _ => None,
    };
    let remaining = (1.0 - impact_of("C")?) * (1.0 - impact_of("I")?) * (1.0 - impact_of("A")?);
    let base: f64 = 1.0 - remaining;
    let impact = if scope_changed {
        7.52 * (base - 0.029) - 3.25 * (base - 0.02).powi(15)
    } else {
        6.42 * base
    };
    let vector: f64 = match metric("AV")? {
        "N" => 0.85,
        "A" => 0.62,
        "L" => 0.55,
        "P" => 0.2,
        _ => return None,
    };
    let complexity = match metric("AC")? {
        "L" => 0.77,
        "H" => 0.44,
        _ => return None,
    };
    let privileges = match (metric("PR")?, scope_changed) {
        ("N", _) => 0.85,
        ("L", true) => 0.68,
        ("L", false) => 0.62,
        ("H", true) => 0.5,
        ("H", false) => 0.27,
        _ => return None,
    };
    let interaction = match metric("UI")? {
        "N" => 0.85,
        "R" => 0.62,
        _ => return None,
    };
    if impact <= 0.0 {
        return Some(0.0);
    }
    let exploitability = 8.22 * vector * complexity * privileges * interaction;
    let sum = impact + exploitability;
    let score = if scope_changed { 1.08 * sum } else { sum };
    // Rounded up to one decimal; the small offset keeps 4.0 from becoming 4.1.
    Some((score.min(10.0) * 10.0 - 1e-6).ceil() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_scores_are_those_of_the_published_calculator() {
        for (vector, score) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5),
            ("CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.8),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ] {
            assert_eq!(cvss3_base_score(vector), Some(score), "{vector}");
        }
        for wrong in [
            "",
            "7.5",
            "CVSS:3.1/AV:N",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N",
        ] {
            assert_eq!(cvss3_base_score(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_the_database_says_comes_before_a_vector() {
        let entry = serde_json::json!({
            "database_specific": {"severity": "MODERATE"},
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        });
        assert_eq!(level(&entry), Some(Level::Moderate));
        assert_eq!(level(&serde_json::json!({})), None);
    }
}
