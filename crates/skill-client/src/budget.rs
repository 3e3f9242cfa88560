//! What installed skills cost an agent before any of them is used: every agent keeps the name and
//! description of each skill in its context. And which skills compete for the same requests.
//! Estimates; no tokenizer is asked.

use std::collections::BTreeMap;

use serde::Serialize;
use skill_format::SkillName;

/// Bytes of English text per token, roughly.
const BYTES_PER_TOKEN: usize = 4;
/// What an agent writes around a name and a description, in bytes: `<skill><name>…`.
const MARKUP_BYTES: usize = 60;

/// A skill as a catalogue shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    pub name: SkillName,
    pub description: String,
}

impl CatalogueEntry {
    fn bytes(&self) -> usize {
        self.name.as_str().len() + self.description.len() + MARKUP_BYTES
    }
}

/// What a set of skills costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogueCost {
    pub skills: usize,
    /// Estimated.
    pub tokens: usize,
}

/// What these skills cost in any agent's catalogue.
pub fn cost(skills: &[CatalogueEntry]) -> CatalogueCost {
    let bytes: usize = skills.iter().map(CatalogueEntry::bytes).sum();
    CatalogueCost {
        skills: skills.len(),
        tokens: bytes.div_ceil(BYTES_PER_TOKEN),
    }
}

/// Two skills that an agent may mistake for each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlap {
    pub skill: SkillName,
    pub other: SkillName,
    /// How much of the shorter description's telling words is in the other one.
    pub percent: usize,
    /// The words they share, at most eight.
    pub words: Vec<String>,
}

/// From here on two descriptions trigger on the same requests, by looking at pairs of real skills.
const OVERLAP_PERCENT_MIN: usize = 60;
/// Fewer telling words say too little.
const WORDS_MIN: usize = 4;
const WORDS_SHOWN_MAX: usize = 8;

/// Words that say nothing of what a skill is for.
const COMMON: [&str; 64] = [
    "a", "about", "all", "also", "an", "and", "any", "are", "as", "ask", "asks", "at", "be", "by",
    "can", "create", "creating", "do", "every", "expert", "file", "files", "for", "from", "guide",
    "has", "help", "helps", "how", "if", "in", "into", "is", "it", "its", "like", "need", "needs",
    "new", "not", "of", "on", "or", "other", "skill", "skills", "such", "task", "tasks", "that",
    "the", "their", "this", "to", "tool", "tools", "use", "used", "user", "users", "using", "when",
    "with", "work",
];

/// Skills that are there already, read once for any number of new ones.
pub struct Catalogue(Vec<(SkillName, BTreeMap<String, String>)>);

impl Catalogue {
    pub fn new(existing: &[CatalogueEntry]) -> Self {
        let known = |skill: &CatalogueEntry| (skill.name.clone(), telling_words(skill));
        Self(existing.iter().map(known).collect())
    }

    /// How `new` overlaps with what is there, strongest first.
    pub fn overlaps(&self, new: &CatalogueEntry) -> Vec<Overlap> {
        let words = telling_words(new);
        let mut found: Vec<Overlap> = self
            .0
            .iter()
            .filter(|(other, _)| *other != new.name)
            .filter_map(|(other, others)| overlap(new, &words, other, others))
            .collect();
        found.sort_by(|a, b| (b.percent, &a.other).cmp(&(a.percent, &b.other)));
        found
    }
}

fn overlap(
    new: &CatalogueEntry,
    words: &BTreeMap<String, String>,
    other: &SkillName,
    others: &BTreeMap<String, String>,
) -> Option<Overlap> {
    let fewer = words.len().min(others.len());
    if fewer < WORDS_MIN {
        return None;
    }
    let shared: Vec<String> = words
        .iter()
        .filter(|(stem, _)| others.contains_key(*stem))
        .map(|(_, word)| word.clone())
        .collect();
    let percent = shared.len() * 100 / fewer;
    (percent >= OVERLAP_PERCENT_MIN).then(|| Overlap {
        skill: new.name.clone(),
        other: other.clone(),
        percent,
        words: shared.into_iter().take(WORDS_SHOWN_MAX).collect(),
    })
}

/// Stem to word.
fn telling_words(skill: &CatalogueEntry) -> BTreeMap<String, String> {
    let text = format!("{} {}", skill.name, skill.description).to_lowercase();
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 1 && !COMMON.contains(word))
        .map(|word| (stem(word), word.to_owned()))
        .collect()
}

/// Enough for English plurals and verb forms: `charts`, `charting` and `charted` are one word.
fn stem(word: &str) -> String {
    for ending in ["ing", "ies", "ed", "es", "s"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= 3
        {
            return stem.to_owned();
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, description: &str) -> CatalogueEntry {
        CatalogueEntry {
            name: name.parse().expect("a name"),
            description: description.into(),
        }
    }

    #[test]
    fn the_cost_is_what_an_agent_writes_for_each_skill() {
        assert_eq!(cost(&[]).tokens, 0);
        let skill = entry("one", &"é".repeat(10));
        assert_eq!(
            cost(&[skill.clone(), skill]),
            CatalogueCost {
                skills: 2,
                tokens: 2 * (3 + 20 + MARKUP_BYTES) / BYTES_PER_TOKEN + 1,
            }
        );
    }

    #[test]
    fn similar_descriptions_are_found_and_others_are_not() {
        let csv = entry(
            "csv-analyzer",
            "Analyze CSV files: columns, types, missing values and statistics.",
        );
        let same = entry(
            "table-stats",
            "Use when the user asks for statistics of CSV columns, types or missing values; analyzes tables.",
        );
        let other = entry(
            "text-summarizer",
            "Summarize long text into a few sentences with the main points.",
        );
        let found = Catalogue::new(&[other.clone(), same.clone(), csv.clone()]).overlaps(&csv);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].other, same.name);
        assert!(found[0].words.contains(&"columns".to_owned()), "{found:?}");
        assert!(Catalogue::new(&[csv, same]).overlaps(&other).is_empty());
    }

    #[test]
    fn common_words_alone_are_no_overlap() {
        let one = entry(
            "one",
            "Use this skill when the user asks for help with files.",
        );
        let two = entry(
            "two",
            "Use this skill when the user asks for help with tasks.",
        );
        assert!(Catalogue::new(&[two]).overlaps(&one).is_empty());
    }

    #[test]
    fn the_list_of_common_words_is_sorted() {
        assert!(COMMON.is_sorted());
    }
}
