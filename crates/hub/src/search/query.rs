//! From a person's words to tantivy queries. No text of the person's is parsed
//! as a query language: any bytes are just words, and few of them.

use hub_model::Sort;
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery,
    Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::document::{Fields, fold};
use super::words::words;

/// A query is cut after this many words: 16 words of 8 clauses each are 128
/// posting lists, a few milliseconds at 100,000 skills.
const WORDS_MAX: usize = 16;

/// Bytes of the query that are looked at: the words above at their longest.
pub const QUERY_BYTES_MAX: usize = 1024;

/// What is asked for, as plain data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchRequest {
    pub query: String,
    /// A skill must carry all of them.
    pub tags: Vec<String>,
    pub framework: Option<String>,
    pub author: Option<String>,
    pub order: SearchOrder,
    pub limit: usize,
    pub offset: usize,
}

/// The order of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchOrder {
    #[default]
    Relevance,
    By(Sort),
}

/// How strictly words are matched; tried in this order until something is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Every word, as it is or as the beginning of a word of the name.
    Exact,
    /// Every word, up to a typing error or two.
    Fuzzy,
    /// Any word, up to a typing error or two.
    Any,
}

impl Strictness {
    pub(super) const ALL: [Self; 3] = [Self::Exact, Self::Fuzzy, Self::Any];
}

/// The words of a query, cut to their bounds.
pub(super) fn query_terms(query: &str) -> Vec<String> {
    let mut cut = query.len().min(QUERY_BYTES_MAX);
    while !query.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut terms: Vec<String> = Vec::new();
    for word in words(&query[..cut]) {
        if terms.len() < WORDS_MAX && !terms.contains(&word.term) {
            terms.push(word.term);
        }
    }
    terms
}

pub(super) fn build(
    fields: &Fields,
    request: &SearchRequest,
    terms: &[String],
    strictness: Strictness,
) -> Box<dyn Query> {
    let mut clauses = filters(fields, request);
    if terms.is_empty() {
        let all: Box<dyn Query> = Box::new(ConstScoreQuery::new(Box::new(AllQuery), 1.0));
        clauses.push((Occur::Must, all));
        return Box::new(BooleanQuery::new(clauses));
    }
    let each = terms.iter().map(|term| word(fields, term, strictness));
    if strictness == Strictness::Any {
        let any = each.map(|query| (Occur::Should, query)).collect();
        clauses.push((Occur::Must, Box::new(BooleanQuery::new(any))));
    } else {
        clauses.extend(each.map(|query| (Occur::Must, query)));
    }
    clauses.extend(whole_name(fields, terms));
    Box::new(BooleanQuery::new(clauses))
}

fn filters(fields: &Fields, request: &SearchRequest) -> Vec<(Occur, Box<dyn Query>)> {
    let tags = request.tags.iter().map(|tag| (fields.tag_is, tag));
    let framework = request
        .framework
        .iter()
        .map(|framework| (fields.framework_is, framework));
    let author = request
        .author
        .iter()
        .map(|author| (fields.author_is, author));
    tags.chain(framework)
        .chain(author)
        .map(|(field, value)| {
            let term = Term::from_field_text(field, &fold(value));
            let query = TermQuery::new(term, IndexRecordOption::Basic);
            let unscored: Box<dyn Query> = Box::new(ConstScoreQuery::new(Box::new(query), 0.0));
            (Occur::Must, unscored)
        })
        .collect()
}

/// A skill whose whole name was typed comes first, one whose name begins so next.
fn whole_name(fields: &Fields, terms: &[String]) -> [(Occur, Box<dyn Query>); 2] {
    let name = Term::from_field_text(fields.name, &terms.join("-"));
    let exact = TermQuery::new(name.clone(), IndexRecordOption::Basic);
    let prefix = FuzzyTermQuery::new_prefix(name, 0, true);
    [
        (
            Occur::Should,
            Box::new(ConstScoreQuery::new(Box::new(exact), 40.0)),
        ),
        (
            Occur::Should,
            Box::new(ConstScoreQuery::new(Box::new(prefix), 4.0)),
        ),
    ]
}

/// One word in every field; the best field counts, the others break ties.
fn word(fields: &Fields, term: &str, strictness: Strictness) -> Box<dyn Query> {
    let exact = |field: Field, boost: f32| -> Box<dyn Query> {
        let term = Term::from_field_text(field, term);
        Box::new(BoostQuery::new(
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)),
            boost,
        ))
    };
    let mut ways = vec![
        exact(fields.name_words, 4.0),
        exact(fields.title, 2.5),
        exact(fields.tags, 2.5),
        exact(fields.author, 1.5),
        exact(fields.description, 1.0),
    ];
    if term.chars().count() >= 2 {
        ways.push(constant(
            FuzzyTermQuery::new_prefix(Term::from_field_text(fields.name_words, term), 0, true),
            3.0,
        ));
    }
    let distance = if strictness == Strictness::Exact {
        0
    } else {
        typing_errors(term)
    };
    if distance > 0 {
        for (field, score) in [
            (fields.name_words, 2.0),
            (fields.tags, 1.5),
            (fields.description, 0.5),
        ] {
            let term = Term::from_field_text(field, term);
            ways.push(constant(FuzzyTermQuery::new(term, distance, true), score));
        }
    }
    Box::new(DisjunctionMaxQuery::with_tie_breaker(ways, 0.2))
}

fn constant(query: FuzzyTermQuery, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

/// How many typing errors a word may hold. Short words are too close to each
/// other; in scripts with one letter a word nothing is left.
pub(super) fn typing_errors(term: &str) -> u8 {
    match term.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_cut_to_few_words() {
        let long = "alpha ".repeat(1000) + "beta";
        assert!(!query_terms(&long).contains(&"beta".to_owned()));
        let many: String = (0..1000).map(|n| format!("w{n} ")).collect();
        assert_eq!(query_terms(&many).len(), WORDS_MAX);
        assert!(query_terms("\u{0}\u{1} \u{fffd} --- :\"(*) OR").contains(&"or".to_owned()));
    }
}
