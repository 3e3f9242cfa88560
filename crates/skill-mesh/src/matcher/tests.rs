//! What intents mean among SkillScale's three skills, and among none.

use proptest::prelude::*;

use super::*;

/// SkillScale's three.
fn seed() -> Matcher {
    let skill = |name: &str, description: &str| Candidate {
        name: name.into(),
        description: description.into(),
        tags: vec![],
    };
    Matcher::new(vec![
        skill(
            "code-complexity",
            "Python AST-based static analysis — cyclomatic complexity, nesting depth, function lengths",
        ),
        skill(
            "csv-analyzer",
            "Statistical analysis of CSV data — counts, min/max/mean/median per column",
        ),
        skill(
            "text-summarizer",
            "Extractive summarization using word-frequency scoring (pure Python, no LLM)",
        ),
    ])
}

fn found(intent: &str) -> String {
    match seed().find(intent) {
        Ok(found) => format!("{} < {}", found.name, found.input),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_named_skill_gets_the_data() {
    assert_eq!(
        found(r#"{"skill":"csv-analyzer","data":"name,age\nA,30"}"#),
        "csv-analyzer < name,age\nA,30"
    );
    assert_eq!(
        found(r#"{"skill":"CSV-Analyzer","data":{"a":1}}"#),
        "csv-analyzer < {\"a\":1}"
    );
    assert_eq!(found(r#"{"skill":"csv-analyzer"}"#), "csv-analyzer < ");
}

#[test]
fn an_unknown_skill_is_an_error_and_not_the_alphabetically_first_one() {
    assert_eq!(
        found(r#"{"skill":"csv-analyser","data":""}"#),
        r#"no matching skill: there is no skill "csv-analyser" here; nearest: csv-analyzer"#
    );
    assert_eq!(
        found(r#"{"skill":"pizza","task":"summarize text"}"#),
        r#"no matching skill: there is no skill "pizza" here"#
    );
}

#[test]
fn a_name_that_differs_from_two_by_case_is_ambiguous() {
    let skill = |name: &str| Candidate {
        name: name.into(),
        ..Candidate::default()
    };
    let matcher = Matcher::new(vec![skill("Sum"), skill("SUM"), skill("other")]);
    assert_eq!(matcher.find(r#"{"skill":"SUM"}"#).unwrap().index, 1);
    let error = matcher.find(r#"{"skill":"sum"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"no matching skill: "sum" could be Sum or SUM"#
    );
}

#[test]
fn a_task_or_plain_text_finds_the_skill_by_its_words() {
    for (intent, skill) in [
        (
            r#"{"task":"summarize this text","data":"Long."}"#,
            "text-summarizer < Long.",
        ),
        (
            r#"{"task":"What is the mean of each column?"}"#,
            "csv-analyzer < What is the mean of each column?",
        ),
        (
            "summarise: once upon a time",
            "text-summarizer < summarise: once upon a time",
        ),
        (
            "How complex is my code?",
            "code-complexity < How complex is my code?",
        ),
        ("analyze sales.csv", "csv-analyzer < analyze sales.csv"),
    ] {
        assert_eq!(found(intent), skill);
    }
}

#[test]
fn what_fits_nothing_lists_the_nearest() {
    assert_eq!(
        found("order two pizzas"),
        r#"no matching skill: nothing here clearly fits "order two pizzas""#
    );
    let error = found("write the data to a disk in Berlin");
    assert!(error.ends_with("; nearest: csv-analyzer"), "{error}");
    assert!(found("").starts_with("no matching skill: "));
    assert!(found("the of and").starts_with("no matching skill: "));
}

#[test]
fn two_skills_that_fit_equally_are_none() {
    let skill = |name: &str| Candidate {
        name: name.into(),
        description: "Translates text".into(),
        tags: vec![],
    };
    let matcher = Matcher::new(vec![skill("german"), skill("french")]);
    let error = matcher.find("translate a text").unwrap_err();
    assert!(
        error.to_string().ends_with("; nearest: german, french"),
        "{error}"
    );
    assert_eq!(
        matcher.find("translate a text into french").unwrap().name,
        "french"
    );
}

#[test]
fn tags_are_found_and_the_only_skill_too() {
    let matcher = Matcher::new(vec![Candidate {
        name: "ledger".into(),
        description: "Keeps books".into(),
        tags: vec!["accounting".into()],
    }]);
    assert_eq!(matcher.find("do my accounting").unwrap().name, "ledger");
    assert!(matcher.find("bake bread").is_err());
}

#[test]
fn without_skills_nothing_matches() {
    assert!(Matcher::new(vec![]).find("anything").is_err());
    assert!(Matcher::new(vec![]).find(r#"{"skill":"x"}"#).is_err());
}

proptest! {
    #[test]
    fn any_intent_matches_a_known_skill_or_none(intent: String, name: String) {
        let named = serde_json::json!({"skill": name, "data": intent}).to_string();
        let matcher = seed();
        for intent in [&intent, &named] {
            match matcher.find(intent) {
                Ok(found) => {
                    prop_assert!(found.index < 3);
                    prop_assert!(found.score > 0.0 && found.score.is_finite());
                }
                Err(error) => prop_assert!(error.to_string().starts_with("no matching skill: ")),
            }
        }
    }
}
