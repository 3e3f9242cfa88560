//! What people type, and what they should find.

use hub_model::{SkillId, Sort};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{Found, SearchDocument, SearchIndex, SearchOrder, SearchRequest};

fn skill(name: &str, description: &str, tags: &[&str], downloads: u64) -> SearchDocument {
    SearchDocument {
        id: id(name),
        name: name.to_owned(),
        title: String::new(),
        description: description.to_owned(),
        author: Some("Example Team".to_owned()),
        owners: vec!["alice".to_owned()],
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        frameworks: vec!["openai".to_owned()],
        downloads,
        rating: 0,
        updated_at: Timestamp::UNIX_EPOCH,
        deprecated: false,
    }
}

/// An id that a name alone decides, so that hits can be told by name.
fn id(name: &str) -> SkillId {
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    SkillId::from_uuid(uuid::Uuid::from_bytes(bytes))
}

fn index() -> SearchIndex {
    let index = SearchIndex::new().expect("an index");
    let skills = [
        skill(
            "csv-analyzer",
            "Reads CSV files and finds statistics.",
            &["data", "csv"],
            10,
        ),
        skill(
            "data-analysis",
            "Analysis and charts of any data.",
            &["data-science"],
            900,
        ),
        skill("data-loader", "Loads data from databases.", &["data"], 50),
        skill(
            "text-summarizer",
            "Summarises long documents.",
            &["text"],
            10_000,
        ),
        skill(
            "résumé-writer",
            "Writes a résumé. Knows CSV, a little.",
            &["text"],
            5,
        ),
    ];
    index.apply(&skills, &[]).expect("applied");
    index
}

fn ask(index: &SearchIndex, query: &str) -> Found {
    let request = SearchRequest {
        query: query.to_owned(),
        limit: 10,
        ..Default::default()
    };
    index.search(&request).expect("searched")
}

/// The first 16 bytes of each name.
fn names(found: &Found) -> Vec<String> {
    found
        .hits
        .iter()
        .map(|hit| {
            let bytes = hit.id.as_uuid().into_bytes();
            let name: Vec<u8> = bytes.into_iter().filter(|byte| *byte != 0).collect();
            String::from_utf8_lossy(&name).into_owned()
        })
        .collect()
}

#[test]
fn a_whole_name_comes_first_whatever_its_downloads() {
    let index = index();
    assert_eq!(names(&ask(&index, "data-loader"))[0], "data-loader");
    assert_eq!(names(&ask(&index, "CSV analyzer"))[0], "csv-analyzer");
}

#[test]
fn the_name_weighs_more_than_the_description() {
    let found = ask(&index(), "csv");
    assert_eq!(names(&found), ["csv-analyzer", "résumé-writer"]);
    assert_eq!(found.total, 2);
}

#[test]
fn the_beginning_of_a_word_of_the_name_is_enough() {
    assert_eq!(names(&ask(&index(), "summ")), ["text-summarizer"]);
    assert_eq!(names(&ask(&index(), "data ana"))[0], "data-analysis");
}

#[test]
fn a_typing_error_is_forgiven_and_pointed_out() {
    let found = ask(&index(), "sumarizer");
    assert_eq!(names(&found), ["text-summarizer"]);
    assert_eq!(found.suggestion.as_deref(), Some("summarizer"));
    let swapped = ask(&index(), "anlaysis");
    assert_eq!(names(&swapped), ["data-analysis"]);
    assert_eq!(swapped.suggestion.as_deref(), Some("analysis"));
}

#[test]
fn accents_and_plurals_do_not_matter() {
    assert_eq!(names(&ask(&index(), "resumes")), ["résumé-writer"]);
    assert_eq!(names(&ask(&index(), "database")), ["data-loader"]);
}

#[test]
fn any_word_is_better_than_nothing() {
    let found = ask(&index(), "csv quantum");
    assert_eq!(names(&found), ["csv-analyzer", "résumé-writer"]);
    assert_eq!(ask(&index(), "xylophone").total, 0);
}

#[test]
fn filters_narrow_and_ignore_case() {
    let index = index();
    let of = |tags: &[&str], framework: Option<&str>, author: Option<&str>| {
        let request = SearchRequest {
            query: String::new(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            framework: framework.map(str::to_owned),
            author: author.map(str::to_owned),
            limit: 10,
            ..Default::default()
        };
        index.search(&request).expect("searched").total
    };
    assert_eq!(of(&["Data"], None, None), 2);
    assert_eq!(of(&["data", "csv"], None, None), 1);
    assert_eq!(of(&[], Some("OpenAI"), Some("ALICE")), 5);
    assert_eq!(of(&[], None, Some("example team")), 5);
    assert_eq!(of(&[], Some("vertex"), None), 0);
}

#[test]
fn popularity_decides_between_equals() {
    let index = SearchIndex::new().expect("an index");
    let twins = [
        skill("twin-a", "Same text.", &[], 0),
        skill("twin-b", "Same text.", &[], 5_000),
    ];
    index.apply(&twins, &[]).expect("applied");
    assert_eq!(names(&ask(&index, "same text")), ["twin-b", "twin-a"]);
}

#[test]
fn an_answer_can_be_ordered_as_a_list() {
    let index = index();
    let ordered = |sort: Sort| {
        let request = SearchRequest {
            query: "data".to_owned(),
            order: SearchOrder::By(sort),
            limit: 10,
            ..Default::default()
        };
        names(&index.search(&request).expect("searched"))
    };
    assert_eq!(
        ordered(Sort::Downloads),
        ["data-analysis", "data-loader", "csv-analyzer"]
    );
    assert_eq!(
        ordered(Sort::Name),
        ["csv-analyzer", "data-analysis", "data-loader"]
    );
    assert_eq!(ordered(Sort::Rating).len(), 3);
    assert_eq!(ordered(Sort::Recent).len(), 3);
}

#[test]
fn pages_follow_each_other_without_gap() {
    let index = SearchIndex::new().expect("an index");
    let many: Vec<_> = (0..25)
        .map(|n| skill(&format!("many-{n:02}"), "Many.", &[], n))
        .collect();
    index.apply(&many, &[]).expect("applied");
    let mut seen = Vec::new();
    for offset in [0, 10, 20] {
        let request = SearchRequest {
            query: "many".to_owned(),
            limit: 10,
            offset,
            ..Default::default()
        };
        let found = index.search(&request).expect("searched");
        assert_eq!(found.total, 25);
        seen.extend(names(&found));
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("many-{n:02}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_change_replaces_and_a_removal_removes() {
    let index = index();
    index
        .apply(&[skill("csv-analyzer", "Now about parquet.", &[], 10)], &[])
        .expect("applied");
    assert_eq!(names(&ask(&index, "parquet")), ["csv-analyzer"]);
    assert_eq!(index.len(), 5);
    index.apply(&[], &[id("csv-analyzer")]).expect("applied");
    assert_eq!(ask(&index, "parquet").total, 0);
}

#[test]
fn a_mistyped_name_is_recognised() {
    let near = index().nearest_names("csv-analizer", 3).expect("searched");
    assert_eq!(near, ["csv-analyzer"]);
    let index = index();
    assert!(
        index
            .nearest_names(&"x".repeat(5_000), 3)
            .expect("searched")
            .is_empty()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_text_is_a_query(query in "\\PC{0,300}", tag in "\\PC{0,20}") {
        let index = index();
        let request = SearchRequest {
            query, tags: vec![tag.clone()], framework: Some(tag), limit: 5, ..Default::default()
        };
        prop_assert!(index.search(&request).is_ok());
    }
}
