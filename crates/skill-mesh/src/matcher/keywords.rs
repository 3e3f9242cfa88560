//! BM25 over names, tags and descriptions (Robertson and Zaragoza, "The Probabilistic Relevance Framework",
//! 2009), as a share of the best that could be had.

use std::collections::{BTreeSet, HashMap};

use super::{Candidate, by_score};

/// How soon a repeated word adds little, and how much length counts: the customary values.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// A word of the name counts as this many of the description, and so on.
const NAME: f64 = 3.0;
const TAG: f64 = 2.0;
const DESCRIPTION: f64 = 1.0;
/// Different words of a task that are looked at: plain text may carry its data behind the request.
const WORDS_MAX: usize = 24;

/// Words that say nothing about which skill is meant.
const EMPTY_WORDS: &[&str] = &[
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "do", "for",
    "from", "get", "give", "have", "how", "i", "in", "into", "is", "it", "its", "me", "my", "need",
    "of", "on", "or", "our", "please", "so", "some", "that", "the", "their", "them", "these",
    "this", "those", "to", "us", "use", "want", "was", "we", "what", "when", "which", "will",
    "with", "would", "you", "your",
];

/// Endings that do not change what a word is about, longest first.
const ENDINGS: &[&str] = &[
    "isations", "isation", "ations", "ically", "ities", "ation", "isers", "ising", "ised", "iser",
    "ises", "ical", "ings", "ions", "ise", "ing", "ies", "ity", "ion", "ics", "ers", "er", "ed",
    "es", "is", "al", "ic", "ly", "s", "e", "y",
];

#[derive(Debug)]
pub(super) struct Index {
    /// By word: in which candidates it is, and how often, weighted.
    words: HashMap<String, Vec<(usize, f64)>>,
    /// Weighted number of words of each candidate.
    lengths: Vec<f64>,
    mean: f64,
}

impl Index {
    #[allow(clippy::cast_precision_loss)] // Skills are counted in thousands at most.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let mut words: HashMap<String, Vec<(usize, f64)>> = HashMap::new();
        let mut lengths = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let mut counts: HashMap<String, f64> = HashMap::new();
            let tags = candidate.tags.iter().map(|tag| (tag.as_str(), TAG));
            let fields = [
                (candidate.name.as_str(), NAME),
                (candidate.description.as_str(), DESCRIPTION),
            ];
            for (text, weight) in fields.into_iter().chain(tags) {
                for word in stems(text) {
                    *counts.entry(word).or_default() += weight;
                }
            }
            lengths.push(counts.values().sum());
            for (word, count) in counts {
                words.entry(word).or_default().push((index, count));
            }
        }
        let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
        Self {
            words,
            lengths,
            mean,
        }
    }

    /// Candidates that have a word of the task, with the share that they account for, best first.
    pub(super) fn scores(&self, task: &str) -> Vec<(f64, usize)> {
        let mut seen = BTreeSet::new();
        let mut scores: HashMap<usize, f64> = HashMap::new();
        let mut best = 0.0;
        for word in stems(task)
            .filter(|word| seen.insert(word.clone()))
            .take(WORDS_MAX)
        {
            let found = self.words.get(&word).map_or(&[][..], Vec::as_slice);
            let weight = self.weight(found.len());
            best += weight * saturated(NAME, 1.0);
            for (index, count) in found {
                let length = self.lengths[*index] / self.mean.max(1.0);
                *scores.entry(*index).or_default() += weight * saturated(*count, length);
            }
        }
        let mut scores: Vec<(f64, usize)> = scores
            .into_iter()
            .map(|(index, score)| (score / best, index))
            .collect();
        scores.sort_by(|(a, i), (b, j)| by_score(*a, *b).then(i.cmp(j)));
        scores
    }

    /// Rare words say more. A word that is nowhere says the most: it speaks against all candidates alike.
    /// Never negative, and not zero for the only candidate either.
    #[allow(clippy::cast_precision_loss)]
    fn weight(&self, found: usize) -> f64 {
        let all = self.lengths.len() as f64;
        let found = if found == 0 { 0.5 } else { found as f64 };
        (1.0 + all / found).ln()
    }
}

fn saturated(count: f64, length: f64) -> f64 {
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))
}

/// The words of a text without their endings: `summarize`, `Summarizer` and `summaries` are the same.
fn stems(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| EMPTY_WORDS.binary_search(&word.as_str()).is_err())
        .map(|word| stem(&word))
}

fn stem(word: &str) -> String {
    // British and American spelling.
    let word = word.replace('z', "s");
    let ending = ENDINGS.iter().find(|ending| {
        word.strip_suffix(**ending)
            .is_some_and(|stem| stem.chars().count() >= 3)
    });
    ending
        .and_then(|ending| word.strip_suffix(ending))
        .unwrap_or(&word)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_family_have_one_stem() {
        for family in [
            &[
                "summarize",
                "summarise",
                "Summarizer",
                "summaries",
                "summary",
                "summarization",
            ][..],
            &["analyze", "analyse", "analyzer", "analysis", "analyzing"],
            &["complex", "complexity", "complexities"],
            &["statistics", "statistical", "statistically"],
            &["test", "tests", "tested", "testing", "tester"],
        ] {
            let stems: BTreeSet<String> = family.iter().flat_map(|word| stems(word)).collect();
            assert_eq!(stems.len(), 1, "{stems:?}");
        }
        assert_eq!(
            stems("the CSV-file, please").collect::<Vec<_>>(),
            ["csv", "fil"]
        );
    }

    #[test]
    fn the_lists_are_in_the_order_that_they_are_searched_in() {
        assert!(EMPTY_WORDS.is_sorted());
        assert!(ENDINGS.is_sorted_by_key(|ending| std::cmp::Reverse(ending.len())));
    }
}
