//! Names that frameworks accept for tools, each used once.

use std::collections::BTreeSet;

use crate::digest::Sha256;

/// What a framework accepts as the name of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameRule {
    /// Most characters.
    pub chars_max: usize,
    /// Characters besides ASCII letters, digits, `_` and `-`.
    pub extra: &'static str,
    /// Whether it must begin with a letter or an underscore.
    pub begins_with_letter: bool,
}

/// `[A-Za-z0-9_-]{1,64}`: OpenAI function tools, and Anthropic tools within 128.
pub(super) const WORD_64: NameRule = NameRule {
    chars_max: 64,
    extra: "",
    begins_with_letter: false,
};
/// `[A-Za-z_][A-Za-z0-9_.:-]{0,127}`: Gemini function declarations.
pub(super) const GEMINI: NameRule = NameRule {
    chars_max: 128,
    extra: ".:",
    begins_with_letter: true,
};
/// `[A-Za-z0-9_.-]{1,128}`: tools of the Model Context Protocol.
pub(super) const MCP: NameRule = NameRule {
    chars_max: 128,
    extra: ".",
    begins_with_letter: false,
};

/// The names that are in use.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

/// Hexadecimal digits that tell names apart: four bytes, so that 1,000 names collide by chance
/// with a probability of 1 in 8,000.
const HASH_CHARS: usize = 8;

impl Names {
    /// The nearest acceptable name to `wanted` that is not in use.
    ///
    /// The same wish gives the same name whichever other skills are there, except where two
    /// collide; then the later is told apart by a hash of `identity`.
    pub fn claim(&mut self, wanted: &str, identity: &str, rule: NameRule) -> String {
        let name = rule.sanitise(wanted, identity);
        if self.0.insert(name.clone()) {
            return name;
        }
        let mut salt = identity.to_owned();
        loop {
            let name = rule.with_hash(&name, &salt);
            if self.0.insert(name.clone()) {
                return name;
            }
            salt.push('\0');
        }
    }
}

impl NameRule {
    fn sanitise(self, wanted: &str, identity: &str) -> String {
        let accepts =
            |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || self.extra.contains(c);
        let mut name: String = wanted
            .chars()
            .map(|c| if accepts(c) { c } else { '_' })
            .collect();
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if name.is_empty() || self.begins_with_letter && !begins_well {
            name.insert(0, '_');
        }
        if name.len() > self.chars_max {
            return self.with_hash(&name, identity);
        }
        name
    }

    /// `name`, shortened if need be, with the hash of `identity` at its end.
    fn with_hash(self, name: &str, identity: &str) -> String {
        let hash = Sha256::of(identity.as_bytes()).hex();
        let kept: String = name.chars().take(self.chars_max - HASH_CHARS - 1).collect();
        format!("{kept}_{}", &hash[..HASH_CHARS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_rule_and_stay_apart() {
        let mut names = Names::default();
        assert_eq!(names.claim("a-b__run", "1", WORD_64), "a-b__run");
        let second = names.claim("a-b__run", "2", WORD_64);
        assert!(
            second.starts_with("a-b__run_") && second.len() == 17,
            "{second}"
        );
        let third = names.claim("a-b__run", "2", WORD_64);
        assert_ne!(second, third);
        assert_eq!(names.claim("ä.b", "3", WORD_64), "__b");
        assert_eq!(names.claim("7.x", "4", GEMINI), "_7.x");
        let long = names.claim(&"x".repeat(65), "5", WORD_64);
        assert_eq!(long.len(), 64);
        assert_eq!(names.claim("", "6", WORD_64), "_");
    }

    #[test]
    fn a_long_name_does_not_depend_on_its_neighbours() {
        let long = "y".repeat(200);
        let alone = Names::default().claim(&long, "me", MCP);
        let mut names = Names::default();
        names.claim("other", "other", MCP);
        assert_eq!(names.claim(&long, "me", MCP), alone);
    }
}
