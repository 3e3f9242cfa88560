//! What the index knows of a skill, and the schema that holds it.

use hub_model::SkillId;
use jiff::Timestamp;
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

/// The name under which [`WordTokenizer`](super::words::WordTokenizer) is registered.
pub(super) const WORDS: &str = "words";

/// Columns by which answers are ordered.
pub(super) const NAME: &str = "name";
pub(super) const DOWNLOADS: &str = "downloads";
pub(super) const RATING: &str = "rating";
pub(super) const UPDATED_AT: &str = "updated_at";
pub(super) const DEPRECATED: &str = "deprecated";

/// A skill as it is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDocument {
    pub id: SkillId,
    pub name: String,
    /// The first heading of SKILL.md.
    pub title: String,
    pub description: String,
    pub author: Option<String>,
    pub owners: Vec<String>,
    pub tags: Vec<String>,
    pub frameworks: Vec<String>,
    pub downloads: u64,
    /// As `hub_model::rating_rank`.
    pub rating: i64,
    pub updated_at: Timestamp,
    pub deprecated: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub schema: Schema,
    /// The skill's id, to fetch and to replace.
    pub id: Field,
    /// The name as it is.
    pub name: Field,
    pub name_words: Field,
    pub title: Field,
    pub description: Field,
    pub tags: Field,
    pub author: Field,
    /// Folded, for filters.
    pub tag_is: Field,
    pub framework_is: Field,
    pub author_is: Field,
    pub downloads: Field,
    pub rating: Field,
    pub updated_at: Field,
    pub deprecated: Field,
}

impl Fields {
    pub(super) fn new() -> Self {
        let mut builder = Schema::builder();
        let words = || {
            TextOptions::default().set_indexing_options(
                TextFieldIndexing::default()
                    .set_tokenizer(WORDS)
                    .set_index_option(IndexRecordOption::WithFreqs),
            )
        };
        let id = builder.add_text_field("id", STRING | STORED);
        let name = builder.add_text_field(NAME, (STRING | STORED).set_fast("raw"));
        let name_words = builder.add_text_field("name_words", words());
        let title = builder.add_text_field("title", words());
        let description = builder.add_text_field("description", words() | STORED);
        let tags = builder.add_text_field("tags", words() | STORED);
        let author = builder.add_text_field("author", words());
        let tag_is = builder.add_text_field("tag_is", STRING);
        let framework_is = builder.add_text_field("framework_is", STRING);
        let author_is = builder.add_text_field("author_is", STRING);
        let downloads = builder.add_u64_field(DOWNLOADS, FAST);
        let rating = builder.add_i64_field(RATING, FAST);
        let updated_at = builder.add_i64_field(UPDATED_AT, FAST);
        let deprecated = builder.add_bool_field(DEPRECATED, FAST);
        Self {
            schema: builder.build(),
            id,
            name,
            name_words,
            title,
            description,
            tags,
            author,
            tag_is,
            framework_is,
            author_is,
            downloads,
            rating,
            updated_at,
            deprecated,
        }
    }

    pub(super) fn document(&self, skill: &SearchDocument) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.id, skill.id.to_string());
        document.add_text(self.name, &skill.name);
        document.add_text(self.name_words, &skill.name);
        document.add_text(self.title, &skill.title);
        document.add_text(self.description, &skill.description);
        document.add_u64(self.downloads, skill.downloads);
        document.add_i64(self.rating, skill.rating);
        document.add_i64(self.updated_at, skill.updated_at.as_millisecond());
        document.add_bool(self.deprecated, skill.deprecated);
        for tag in &skill.tags {
            document.add_text(self.tags, tag);
            document.add_text(self.tag_is, fold(tag));
        }
        for framework in &skill.frameworks {
            document.add_text(self.framework_is, fold(framework));
        }
        for author in skill.author.iter().chain(&skill.owners) {
            document.add_text(self.author, author);
            document.add_text(self.author_is, fold(author));
        }
        document
    }
}

/// Filters compare without regard to case.
pub(super) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}
