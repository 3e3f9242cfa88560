//! The index itself: in memory, one writer, any number of readers.

use std::sync::{Arc, Mutex, PoisonError};

use hub_model::{SkillId, Sort};
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{FuzzyTermQuery, Query};
use tantivy::schema::{Field, Value};
use tantivy::{
    DocAddress, DocId, Index, IndexReader, IndexWriter, Order, ReloadPolicy, Score, Searcher,
    SegmentReader, TantivyDocument, TantivyError, Term,
};

use super::document::{
    DEPRECATED, DOWNLOADS, Fields, NAME, RATING, SearchDocument, UPDATED_AT, WORDS,
};
use super::highlight::{highlight, suggest};
use super::query::{SearchOrder, SearchRequest, Strictness, build, query_terms};
use super::words::{WordTokenizer, words};

/// The writer's buffer; tantivy asks for at least 15 MB.
const WRITER_BYTES: usize = 32_000_000;

/// A skill that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub id: SkillId,
    /// Comparable within one answer only; 0 where the order is not by relevance.
    pub score: f32,
    /// HTML excerpt of the description with the matches in `<em>`.
    pub description_html: Option<String>,
}

/// An answer of the index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub hits: Vec<Hit>,
    pub total: usize,
    /// What was probably meant, when the words as typed found nothing.
    pub suggestion: Option<String>,
}

/// Cheap to clone. All methods block; call them where that is allowed.
#[derive(Clone)]
pub struct SearchIndex(Arc<Inner>);

struct Inner {
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<IndexWriter>,
}

impl SearchIndex {
    pub fn new() -> Result<Self, TantivyError> {
        let fields = Fields::new();
        let index = Index::create_in_ram(fields.schema.clone());
        index.tokenizers().register(WORDS, WordTokenizer);
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self(Arc::new(Inner {
            fields,
            reader,
            writer: Mutex::new(writer),
        })))
    }

    /// Puts `changed` in, replacing what the index knew of them, takes `removed`
    /// out, and makes both visible.
    pub fn apply(
        &self,
        changed: &[SearchDocument],
        removed: &[SkillId],
    ) -> Result<(), TantivyError> {
        let Inner {
            fields,
            reader,
            writer,
        } = &*self.0;
        // A poisoned lock is a writer that panicked between two documents; the
        // commit below makes whole what it left.
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        for id in removed {
            writer.delete_term(Term::from_field_text(fields.id, &id.to_string()));
        }
        for skill in changed {
            writer.delete_term(Term::from_field_text(fields.id, &skill.id.to_string()));
            writer.add_document(fields.document(skill))?;
        }
        writer.commit()?;
        reader.reload()
    }

    /// Skills in the index.
    pub fn len(&self) -> u64 {
        self.0.reader.searcher().num_docs()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best matches. Words as typed first; if those find nothing, with typing
    /// errors; if those find nothing, any of the words.
    pub fn search(&self, request: &SearchRequest) -> Result<Found, TantivyError> {
        let searcher = self.0.reader.searcher();
        let terms = query_terms(&request.query);
        if terms.is_empty() && !request.query.trim().is_empty() {
            // Something was asked for that no skill can hold, such as a sign or a picture.
            return Ok(Found::default());
        }
        for strictness in Strictness::ALL {
            let found = self.run(&searcher, request, &terms, strictness)?;
            if found.total > 0 || terms.is_empty() {
                return Ok(found);
            }
        }
        Ok(Found::default())
    }

    fn run(
        &self,
        searcher: &Searcher,
        request: &SearchRequest,
        terms: &[String],
        strictness: Strictness,
    ) -> Result<Found, TantivyError> {
        let fields = &self.0.fields;
        let query = build(fields, request, terms, strictness);
        let (places, total) = top(searcher, &*query, request)?;
        let mut hits = Vec::with_capacity(places.len());
        let mut known = Vec::new();
        for (score, place) in places.into_iter().take(request.limit) {
            let document: TantivyDocument = searcher.doc(place)?;
            let description = text(&document, fields.description);
            if strictness != Strictness::Exact && known.len() < KNOWN_WORDS_MAX {
                let tags = texts(&document, fields.tags);
                let sources = [text(&document, fields.name), description]
                    .into_iter()
                    .chain(tags);
                known.extend(sources.flat_map(words).map(|word| word.term));
            }
            // Every document was put in with the id of a skill.
            let Ok(id) = text(&document, fields.id).parse() else {
                continue;
            };
            hits.push(Hit {
                id,
                score,
                description_html: highlight(description, terms),
            });
        }
        let suggestion = match strictness {
            Strictness::Exact => None,
            Strictness::Fuzzy | Strictness::Any => {
                suggest(terms, |term| self.is_known(searcher, term), &known)
            }
        };
        Ok(Found {
            hits,
            total,
            suggestion,
        })
    }

    /// Whether a word stands in any skill.
    fn is_known(&self, searcher: &Searcher, word: &str) -> bool {
        let Fields {
            name_words,
            tags,
            description,
            author,
            ..
        } = self.0.fields;
        [name_words, tags, description, author]
            .into_iter()
            .any(|field| {
                searcher
                    .doc_freq(&Term::from_field_text(field, word))
                    .is_ok_and(|count| count > 0)
            })
    }

    /// Names that a mistyped name may have meant, most downloaded first.
    pub fn nearest_names(&self, name: &str, limit: usize) -> Result<Vec<String>, TantivyError> {
        if name.len() > NAME_BYTES_MAX {
            return Ok(Vec::new());
        }
        let fields = &self.0.fields;
        let searcher = self.0.reader.searcher();
        let term = Term::from_field_text(fields.name, &name.to_lowercase());
        let query = FuzzyTermQuery::new(term, 2, true);
        let top = TopDocs::with_limit(limit.max(1)).tweak_score(popularity);
        let places = searcher.search(&query, &top)?;
        places
            .into_iter()
            .map(|(_, place)| {
                let document: TantivyDocument = searcher.doc(place)?;
                Ok(text(&document, fields.name).to_owned())
            })
            .collect()
    }
}

/// A skill name has at most 64 characters; a longer text is a typing error of
/// no name.
const NAME_BYTES_MAX: usize = 66;

/// Words looked through for a suggestion: about ten skills' descriptions.
const KNOWN_WORDS_MAX: usize = 1_000;

type Top = (Vec<(Score, DocAddress)>, usize);

/// The places asked for, in the order asked for, and how many match in all.
fn top(searcher: &Searcher, query: &dyn Query, request: &SearchRequest) -> tantivy::Result<Top> {
    let top = TopDocs::with_limit(request.limit.max(1)).and_offset(request.offset);
    let unscored = |places: Vec<DocAddress>| places.into_iter().map(|at| (0.0, at)).collect();
    match request.order {
        SearchOrder::Relevance => searcher.search(query, &(top.tweak_score(popularity), Count)),
        SearchOrder::By(Sort::Name) => {
            let top = top.order_by_string_fast_field(NAME, Order::Asc);
            let (places, total) = searcher.search(query, &(top, Count))?;
            Ok((
                unscored(places.into_iter().map(|(_, at)| at).collect()),
                total,
            ))
        }
        SearchOrder::By(Sort::Downloads) => {
            let top = top.order_by_fast_field::<u64>(DOWNLOADS, Order::Desc);
            let (places, total) = searcher.search(query, &(top, Count))?;
            Ok((
                unscored(places.into_iter().map(|(_, at)| at).collect()),
                total,
            ))
        }
        SearchOrder::By(sort @ (Sort::Rating | Sort::Recent)) => {
            let column = if sort == Sort::Rating {
                RATING
            } else {
                UPDATED_AT
            };
            let top = top.order_by_fast_field::<i64>(column, Order::Desc);
            let (places, total) = searcher.search(query, &(top, Count))?;
            Ok((
                unscored(places.into_iter().map(|(_, at)| at).collect()),
                total,
            ))
        }
    }
}

/// A mild factor: 1,000,000 downloads weigh half as much again as none, so a
/// good match of an unknown skill still beats a bad match of a famous one. What
/// is deprecated counts half.
fn popularity(segment: &SegmentReader) -> impl Fn(DocId, Score) -> Score + use<> {
    let downloads = segment.fast_fields().u64(DOWNLOADS).ok();
    let deprecated = segment.fast_fields().bool(DEPRECATED).ok();
    move |doc, score| {
        let count = downloads
            .as_ref()
            .and_then(|column| column.first(doc))
            .unwrap_or(0);
        let is_deprecated = deprecated.as_ref().and_then(|column| column.first(doc));
        let factor = 1.0 + 0.036 * (1.0 + count as f32).ln();
        if is_deprecated == Some(true) {
            score * factor / 2.0
        } else {
            score * factor
        }
    }
}

fn text(document: &TantivyDocument, field: Field) -> &str {
    texts(document, field).next().unwrap_or_default()
}

fn texts(document: &TantivyDocument, field: Field) -> impl Iterator<Item = &str> {
    document.get_all(field).filter_map(|value| value.as_str())
}
