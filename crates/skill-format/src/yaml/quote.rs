//! Text as a YAML scalar that every YAML reader takes for the same text.

/// Writes `text` on one line: plain where nothing can be misunderstood, else in double quotes.
pub(crate) fn quote(text: &str) -> String {
    if is_safe_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Line breaks of Unicode, the byte order mark and what cannot be printed.
            c if c.is_control()
                || matches!(
                    c,
                    '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                ) =>
            {
                quoted.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Words that begin with a letter, and nothing that YAML 1.1 or 1.2 gives a meaning.
fn is_safe_plain(text: &str) -> bool {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_alphanumeric() || " -_./,()+'".contains(c);
    begins_well && text.chars().all(plain) && !text.ends_with(' ') && !is_keyword(text)
}

/// Words that some version of YAML reads as a boolean, a null or a number.
fn is_keyword(text: &str) -> bool {
    const KEYWORDS: [&str; 11] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan",
    ];
    KEYWORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_text_stays_plain() {
        assert_eq!(
            quote("Extracts text, then (maybe) joins it."),
            "Extracts text, then (maybe) joins it."
        );
        assert_eq!(quote("a: b"), "\"a: b\"");
        assert_eq!(quote("No"), "\"No\"");
        assert_eq!(quote("1.10"), "\"1.10\"");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("- x"), "\"- x\"");
        assert_eq!(quote("a\u{85}\"\\\n"), "\"a\\u0085\\\"\\\\\\n\"");
    }
}
