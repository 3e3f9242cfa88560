//! Full-text search in process (tantivy, BM25). One ranking whatever the
//! database. Knows neither HTTP nor the database: documents are put in by
//! `background`, requests are plain data.

mod document;
mod highlight;
mod index;
mod query;
#[cfg(test)]
mod tests;
mod words;

pub use document::SearchDocument;
pub use index::{Found, Hit, SearchIndex};
pub use query::{QUERY_BYTES_MAX, SearchOrder, SearchRequest};
