//! Which skill an intent means, and what the skill gets as input. Pure: knows names, descriptions and
//! tags, not where skills come from.
//!
//! | intent | skill | input |
//! |---|---|---|
//! | `{"skill": "csv-analyzer", "data": "a,b\n1,2"}` | the named one: exact, else the only one that differs by case | `data`, or nothing |
//! | `{"task": "average these", "data": "1 2 3"}` | by keywords in `task` | `data`, or the task |
//! | plain text, any other JSON | by keywords in the text | the text |
//!
//! `data` that is no text is passed as JSON. An `entry` beside `skill` or `task` names one of the skill's
//! entry points. A skill that is named and not there is an error, never another
//! skill.

mod keywords;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;
use skill_format::{Explain, Fault};

use keywords::Index;

/// What is known of a skill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Unique among the candidates.
    pub name: String,
    /// One or a few sentences.
    pub description: String,
    /// Single words or phrases.
    pub tags: Vec<String>,
}

/// The skill that an intent means.
#[derive(Debug, Clone, PartialEq)]
pub struct Match<'a> {
    /// Place in the list of candidates.
    pub index: usize,
    /// The candidate's name.
    pub name: &'a str,
    /// What the skill gets.
    pub input: String,
    /// The entry point, where the intent names one: `{"skill": …, "entry": "analyze"}`.
    pub entry: Option<String>,
    /// 1 for a named skill, else see [`SCORE_MIN`].
    pub score: f64,
}

/// Why no skill is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// The named skill is not there.
    #[error(
        "no matching skill: there is no skill {name:?} here{}",
        nearest("; nearest", nearest_names)
    )]
    Unknown {
        /// As it was given.
        name: String,
        /// Names like it, most alike first.
        nearest_names: Vec<String>,
    },
    /// The named skill is several that differ by case.
    #[error("no matching skill: {name:?} could be {}", names.join(" or "))]
    Ambiguous {
        /// As it was given.
        name: String,
        /// All of them.
        names: Vec<String>,
    },
    /// No skill fits the words, or two fit equally.
    #[error(
        "no matching skill: nothing here clearly fits {task:?}{}",
        nearest("; nearest", nearest_names)
    )]
    NothingFits {
        /// The beginning of what was asked for.
        task: String,
        /// Best first.
        nearest_names: Vec<String>,
    },
}

fn nearest(before: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("{before}: {}", names.join(", "))
}

impl Explain for MatchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "mesh-unknown-skill",
            Self::Ambiguous { .. } => "mesh-ambiguous-skill",
            Self::NothingFits { .. } => "mesh-no-matching-skill",
        }
    }

    fn fault(&self) -> Fault {
        Fault::NotFound
    }

    fn help(&self) -> Option<String> {
        Some(r#"name a skill: {"skill": "…", "data": "…"}"#.into())
    }
}

/// How much of what the words say a skill must account for: the share of the score that a skill would have
/// whose name were all of them. A single word of a description, among three that mean nothing here, is
/// about 0.15; a word of a name among as many is about 0.25.
pub const SCORE_MIN: f64 = 0.2;

/// Names in an error.
const NEAREST_MAX: usize = 3;
/// Characters of a task in an error.
const TASK_SHOWN: usize = 80;

/// What an intent says.
#[derive(Debug, Default)]
struct Wish {
    skill: Option<String>,
    /// What is to be done, where no skill is named; else nothing.
    task: String,
    data: Option<String>,
    entry: Option<String>,
}

impl Wish {
    fn of(intent: &str) -> Self {
        let in_words = || Self {
            task: intent.to_owned(),
            ..Self::default()
        };
        let Ok(Value::Object(object)) = serde_json::from_str(intent) else {
            return in_words();
        };
        let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
        let (skill, task) = (text("skill"), text("task"));
        if skill.is_none() && task.is_none() {
            return in_words();
        }
        Self {
            task: task.filter(|_| skill.is_none()).unwrap_or_default(),
            skill,
            data: object.get("data").map(as_text),
            entry: text("entry"),
        }
    }
}

/// What an intent that names no skill asks for, without its data where those are apart.
pub fn task_of(intent: &str) -> String {
    Wish::of(intent).task
}

/// Chooses among candidates.
#[derive(Debug)]
pub struct Matcher {
    candidates: Vec<Candidate>,
    index: Index,
}

impl Matcher {
    /// Indexes the candidates.
    pub fn new(candidates: Vec<Candidate>) -> Self {
        Self {
            index: Index::new(&candidates),
            candidates,
        }
    }

    /// All of them, in the order that they were given in.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Has the skill of this name do what an intent without one asks for; `None` where there is none.
    pub fn assign(&self, intent: &str, name: &str) -> Option<Match<'_>> {
        let index = self.candidates.iter().position(|one| one.name == name)?;
        let wish = Wish::of(intent);
        let found = self.chosen(index, wish.data.unwrap_or(wish.task), 0.0);
        Some(Match {
            entry: wish.entry,
            ..found
        })
    }

    /// Chooses the skill for an intent.
    ///
    /// # Errors
    /// When none is meant clearly; the message lists the nearest.
    pub fn find(&self, intent: &str) -> Result<Match<'_>, MatchError> {
        let wish = Wish::of(intent);
        let found = match &wish.skill {
            Some(name) => self.by_name(name, wish.data.unwrap_or_default()),
            None => {
                let input = wish.data.unwrap_or_else(|| wish.task.clone());
                self.by_words(&wish.task, input)
            }
        };
        found.map(|found| Match {
            entry: wish.entry,
            ..found
        })
    }

    fn by_name(&self, name: &str, input: String) -> Result<Match<'_>, MatchError> {
        let exact = self.candidates.iter().position(|one| one.name == name);
        if let Some(index) = exact {
            return Ok(self.chosen(index, input, 1.0));
        }
        let folded = name.to_lowercase();
        let alike: Vec<usize> = (0..self.candidates.len())
            .filter(|index| self.candidates[*index].name.to_lowercase() == folded)
            .collect();
        match alike.as_slice() {
            [index] => Ok(self.chosen(*index, input, 1.0)),
            [] => Err(MatchError::Unknown {
                name: shown(name),
                nearest_names: self.names_like(&folded),
            }),
            several => Err(MatchError::Ambiguous {
                name: shown(name),
                names: several
                    .iter()
                    .map(|index| self.candidates[*index].name.clone())
                    .collect(),
            }),
        }
    }

    fn by_words(&self, task: &str, input: String) -> Result<Match<'_>, MatchError> {
        let scores = self.index.scores(task);
        let best = scores.first().filter(|(score, _)| *score >= SCORE_MIN);
        let second = scores.get(1).map_or(0.0, |(score, _)| *score);
        match best {
            Some((score, index)) if *score - second > 1e-9 => {
                Ok(self.chosen(*index, input, *score))
            }
            _ => Err(MatchError::NothingFits {
                task: shown(task),
                nearest_names: self.names(scores.iter().map(|(_, index)| *index)),
            }),
        }
    }

    fn chosen(&self, index: usize, input: String, score: f64) -> Match<'_> {
        Match {
            index,
            name: &self.candidates[index].name,
            input,
            entry: None,
            score,
        }
    }

    fn names(&self, indexes: impl Iterator<Item = usize>) -> Vec<String> {
        indexes
            .take(NEAREST_MAX)
            .map(|index| self.candidates[index].name.clone())
            .collect()
    }

    /// Names with the most pairs of neighbouring letters in common, where that is a third at least.
    fn names_like(&self, folded: &str) -> Vec<String> {
        let wanted = pairs(folded);
        let mut alike: Vec<(f64, usize)> = (0..self.candidates.len())
            .map(|index| {
                let name = pairs(&self.candidates[index].name.to_lowercase());
                (likeness(&wanted, &name), index)
            })
            .filter(|(likeness, _)| *likeness > 1.0 / 3.0)
            .collect();
        alike.sort_by(|(a, i), (b, j)| by_score(*a, *b).then(i.cmp(j)));
        self.names(alike.into_iter().map(|(_, index)| index))
    }
}

/// Greater ones first.
fn by_score(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

fn pairs(word: &str) -> Vec<(char, char)> {
    // A long name is none of ours.
    let letters: Vec<char> = word.chars().take(128).collect();
    letters.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Dice's coefficient, between 0 and 1.
#[allow(clippy::cast_precision_loss)] // At most 127 pairs.
fn likeness(a: &[(char, char)], b: &[(char, char)]) -> f64 {
    let mut left = b.to_vec();
    let mut common = 0;
    for pair in a {
        if let Some(at) = left.iter().position(|other| other == pair) {
            left.swap_remove(at);
            common += 1;
        }
    }
    let all = a.len() + b.len();
    if all == 0 {
        0.0
    } else {
        2.0 * common as f64 / all as f64
    }
}

fn as_text(data: &Value) -> String {
    match data {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(TASK_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
