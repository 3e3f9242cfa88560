//! Ranges of versions: what they match, how they are written, and their intervals.

use std::ops::Bound;

use proptest::prelude::*;
use skill_format::{Explain, Range, Version, parse_version};

fn range(text: &str) -> Range {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn version(text: &str) -> Version {
    parse_version(text).expect("a version")
}

#[test]
fn each_form_matches_what_it_says() {
    let cases = [
        ("*", "0.0.0 1.2.3 99.0.0", "1.0.0-alpha"),
        ("latest", "0.0.1 2.0.0", "2.0.0-rc.1"),
        ("1", "1.0.0 1.99.0", "0.9.0 2.0.0 1.0.0-a 2.0.0-a"),
        ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0 1.3.0-a"),
        ("1.2.3", "1.2.3 1.2.3+b", "1.2.2 1.2.4 1.2.3-a"),
        ("=1.2.3", "1.2.3", "1.2.4"),
        ("==1.2.3+x", "1.2.3 1.2.3+y", "1.2.4"),
        ("=1.2", "1.2.0 1.2.7", "1.3.0"),
        ("^1.2", "1.2.0 1.9.0", "1.1.9 2.0.0 2.0.0-a"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 0.3.0-a"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.0.0 0.9.9", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1", "1.0.0 1.9.9", "2.0.0"),
        (">1", "2.0.0", "1.9.9 2.0.0-a"),
        (">1.2", "1.3.0", "1.2.9"),
        (">1.2.3", "1.2.4 9.0.0", "1.2.3"),
        (">=1.0.0", "1.0.0 7.0.0", "0.9.9 1.0.0-a"),
        ("<1", "0.9.9", "1.0.0 1.0.0-a"),
        ("<=1", "1.9.9 0.1.0", "2.0.0"),
        ("<=1.2.3", "1.2.3 0.0.0", "1.2.4"),
        (">=1, <2", "1.0.0 1.9.9", "2.0.0 0.9.0"),
        (">=1 <2", "1.0.0 1.9.9", "2.0.0 0.9.0"),
        (">= 1.0 < 2", "1.0.0 1.9.9", "2.0.0"),
        ("1.x", "1.0.0 1.5.5", "2.0.0"),
        ("1.2.*", "1.2.5", "1.3.0"),
        ("1.X.x", "1.2.5", "2.0.0"),
        ("1 || 3.1", "1.5.0 3.1.4", "2.0.0 3.2.0"),
        (
            ">=1.0.0-beta.2",
            "1.0.0-beta.2 1.0.0-rc 1.0.0 2.0.0",
            "1.0.0-beta.1 1.1.0-rc",
        ),
        ("1.0.0-rc.1", "1.0.0-rc.1", "1.0.0 1.0.0-rc.2"),
        ("<2.0.0-beta", "1.0.0 2.0.0-alpha", "2.0.0-beta 1.0.0-a"),
        (">2, <1", "", "0.1.0 1.5.0 3.0.0"),
        (
            ">18446744073709551615",
            "",
            "18446744073709551615.1.0 1.0.0",
        ),
        ("^18446744073709551615", "18446744073709551615.1.0", "1.0.0"),
    ];
    for (text, inside, outside) in cases {
        let range = range(text);
        for v in inside.split_whitespace() {
            assert!(range.matches(&version(v)), "{text} should match {v}");
        }
        for v in outside.split_whitespace() {
            assert!(!range.matches(&version(v)), "{text} should not match {v}");
        }
        assert_eq!(
            range.to_string().parse::<Range>().as_ref(),
            Ok(&range),
            "{text}"
        );
    }
}

#[test]
fn ranges_are_written_in_one_form() {
    let cases = [
        ("latest", "*"),
        (" >=1.0.0<2 ", ">=1.0.0, <2"),
        ("=1.2.3", "1.2.3"),
        ("1.2.x", "1.2"),
        ("1||2.*", "1 || 2"),
        (">=*", "*"),
        ("1.2.3-a.1+b", "1.2.3-a.1"),
    ];
    for (text, expected) in cases {
        assert_eq!(range(text).to_string(), expected);
    }
    let json = serde_json::to_string(&range("^1, <1.5")).expect("a text");
    assert_eq!(json, "\"^1, <1.5\"");
    assert_eq!(
        serde_json::from_str::<Range>(&json).expect("a range"),
        range("^1,<1.5")
    );
}

#[test]
fn what_is_no_range_says_why() {
    let cases = [
        ("", "range-empty"),
        ("  ", "range-empty"),
        ("one", "range-malformed"),
        ("1 ||", "range-malformed"),
        (">=1,", "range-malformed"),
        (">=", "range-malformed"),
        ("1.2.3.4", "range-malformed"),
        ("01.2", "range-malformed"),
        ("1.2-beta", "range-malformed"),
        ("1.x.3", "range-malformed"),
        ("<*", "range-malformed"),
        ("1.0.0 - 2.0.0", "range-malformed"),
        ("99999999999999999999", "range-malformed"),
        ("1.2.3-", "range-malformed"),
        ("1.2.3+", "range-malformed"),
        ("~>1", "range-malformed"),
    ];
    for (text, code) in cases {
        let error = text.parse::<Range>().expect_err(text);
        assert_eq!(error.code(), code, "{text}");
        assert!(error.help().is_some());
    }
    let long = "1||".repeat(1000);
    assert_eq!(
        long.parse::<Range>().expect_err("long").code(),
        "range-too-long"
    );
}

/// Found by fuzzing: what is written with commas is longer than what was read.
#[test]
fn a_range_that_would_be_too_long_once_written_is_refused() {
    let terse = ">1".repeat(512);
    assert_eq!(terse.len(), 1024);
    let error = terse.parse::<Range>().expect_err("long");
    assert_eq!(error.code(), "range-too-long");
}

#[test]
fn intervals_are_disjoint_and_ascending() {
    let included = |text: &str| Bound::Included(version(text));
    let excluded = |text: &str| Bound::Excluded(version(text));
    assert_eq!(
        range("*").intervals(),
        [(Bound::Unbounded, Bound::Unbounded)]
    );
    assert_eq!(
        range("3 || 1").intervals(),
        [
            (included("1.0.0"), excluded("2.0.0-0")),
            (included("3.0.0"), excluded("4.0.0-0")),
        ]
    );
    assert_eq!(
        range("^1 || >=1.5, <3 || 1.2.3").intervals(),
        [(included("1.0.0"), excluded("3.0.0-0"))]
    );
    assert_eq!(
        range("1.2.3").intervals(),
        [(included("1.2.3"), included("1.2.3"))]
    );
    assert_eq!(range(">2, <1").intervals(), []);
    assert_eq!(
        range("<=1.0.0 || >1.0.0").intervals(),
        [(Bound::Unbounded, Bound::Unbounded)]
    );
    assert_eq!(Range::any(), range("*"));
    assert_eq!(Range::exact(&version("1.0.0-a+b")), range("1.0.0-a"));
}

#[test]
fn prereleases_are_mentioned_or_not() {
    assert!(range("1 || >=2.0.0-rc").mentions_prerelease());
    assert!(!range("^1.2").mentions_prerelease());
}

fn partial() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4_u64).prop_map(|a| format!("{a}")),
        (0..4_u64, 0..4_u64).prop_map(|(a, b)| format!("{a}.{b}")),
        (0..4_u64, 0..4_u64, 0..4_u64).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
        (0..4_u64, 0..4_u64, 0..4_u64, "[a-c]|[0-3]")
            .prop_map(|(a, b, c, p)| format!("{a}.{b}.{c}-{p}")),
    ]
}

fn any_range() -> impl Strategy<Value = String> {
    let comparator = (
        prop_oneof!["", "=", ">", ">=", "<", "<=", "~", "\\^"],
        partial(),
    );
    let comparator = comparator.prop_map(|(operator, partial)| operator + &partial);
    let alternative = proptest::collection::vec(comparator, 1..4).prop_map(|list| list.join(", "));
    let alternative = prop_oneof![4 => alternative, 1 => Just("*".to_owned())];
    proptest::collection::vec(alternative, 1..4).prop_map(|list| list.join(" || "))
}

fn any_version() -> impl Strategy<Value = Version> {
    (
        0..5_u64,
        0..5_u64,
        0..5_u64,
        prop_oneof![3 => Just(String::new()), 1 => "[a-c]|[0-3]"],
    )
        .prop_map(|(a, b, c, pre)| {
            let pre = if pre.is_empty() {
                pre
            } else {
                format!("-{pre}")
            };
            version(&format!("{a}.{b}.{c}{pre}"))
        })
}

fn within(range: &Range, version: &Version) -> usize {
    use std::ops::RangeBounds as _;
    range
        .intervals()
        .iter()
        .filter(|interval| interval.contains(version))
        .count()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in any_range()) {
        let range = range(&text);
        prop_assert_eq!(range.to_string().parse::<Range>(), Ok(range));
    }

    #[test]
    fn intervals_and_matches_agree(text in any_range(), version in any_version()) {
        let range = range(&text);
        let intervals = within(&range, &version);
        prop_assert!(intervals <= 1, "the intervals overlap");
        if version.pre.is_empty() {
            prop_assert_eq!(range.matches(&version), intervals == 1);
        } else if range.matches(&version) {
            prop_assert_eq!(intervals, 1);
            prop_assert!(range.mentions_prerelease());
        }
    }

    #[test]
    fn alternatives_are_a_union(a in any_range(), b in any_range(), version in any_version()) {
        let union = range(&format!("{a} || {b}"));
        prop_assert_eq!(union.matches(&version), range(&a).matches(&version) || range(&b).matches(&version));
    }

    #[test]
    fn an_exact_range_matches_its_version_only(a in any_version(), b in any_version()) {
        prop_assert_eq!(Range::exact(&a).matches(&b), a == b);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}|[0-9.x*<>=~^|, -]{0,60}") {
        if let Ok(range) = text.parse::<Range>() {
            prop_assert_eq!(range.to_string().parse::<Range>(), Ok(range.clone()));
            range.intervals();
        }
        let _ = parse_version(&text);
    }

    #[test]
    fn versions_are_written_as_they_are_read(version in any_version()) {
        prop_assert_eq!(parse_version(&version.to_string()), Ok(version));
    }
}
