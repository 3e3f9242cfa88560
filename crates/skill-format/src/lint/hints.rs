//! What `skill.yaml` says for people and other programs, which nothing here goes by: a mistake in
//! it would be noticed by nobody else.

use crate::diagnostic::Diagnostic;
use crate::explain::Explain as _;
use crate::fields::Located;
use crate::range::Range;
use crate::skill_yaml::SkillYaml;

use super::{Report, Subject};

/// Fewest hexadecimal digits of a key's id: the short one of gpg.
const KEY_ID_DIGITS_MIN: usize = 8;
/// Most: a fingerprint.
const KEY_ID_DIGITS_MAX: usize = 40;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(yaml) = subject.yaml else { return };
    check_ranges(yaml, report);
    check_signing(yaml, report);
}

fn check_ranges(yaml: &SkillYaml, report: &mut Report) {
    for (i, Located { value, line }) in yaml.frameworks.iter().enumerate() {
        let Some(text) = &value.compatibility else {
            continue;
        };
        if let Err(error) = text.parse::<Range>() {
            let remark = Diagnostic::warning("framework-range-malformed", error.to_string());
            let help = error
                .help()
                .unwrap_or_else(|| "write a range, such as `>=1.0.0`".into());
            report.yaml(
                remark
                    .line(*line)
                    .field(format!("frameworks[{i}].compatibility"))
                    .help(help),
            );
        }
    }
}

fn check_signing(yaml: &SkillYaml, report: &mut Report) {
    let is_known = |algorithm: &str| {
        let known = ["gpg", "openpgp"];
        known
            .iter()
            .any(|name| algorithm.eq_ignore_ascii_case(name))
    };
    let algorithm = yaml.signing.algorithm.as_ref();
    if let Some(Located { value, line }) = algorithm.filter(|text| !is_known(&text.value)) {
        let message = format!("skills are not signed by `{value}`");
        report.yaml(
            Diagnostic::warning("signing-algorithm-unknown", message)
                .line(*line)
                .field("signing.algorithm")
                .help("write `gpg` or `openpgp`, which are the same, or leave it out"),
        );
    }
    let id = yaml.signing.public_key_id.as_ref();
    if let Some(Located { value, line }) = id.filter(|text| !is_key_id(&text.value)) {
        let message = format!("`{value}` is no id of an OpenPGP key");
        let help = "write 8 to 40 hexadecimal digits, best the whole fingerprint: `skills key list` shows it";
        report.yaml(
            Diagnostic::warning("signing-key-id-malformed", message)
                .line(*line)
                .field("signing.public-key-id")
                .help(help),
        );
    }
}

/// As gpg writes it: with or without `0x`, with or without spaces.
fn is_key_id(text: &str) -> bool {
    let digits: String = text.split_whitespace().collect();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    (KEY_ID_DIGITS_MIN..=KEY_ID_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}
