//! Whether a new token stays within the token that makes it, where `hub_model::api_token` (scopes)
//! leaves off: skills and time. Pure.

use hub_model::NamePattern;
use jiff::Timestamp;

/// How a wish goes beyond its maker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooBroad {
    #[error("you may not grant every skill, only those of your own token")]
    EverySkill,
    #[error("you may not grant the skills `{0}`, which your own token leaves out")]
    Skills(NamePattern),
    #[error(
        "a token may not outlive the one that makes it, which ends at {end}; ask for an earlier end, or for none to get this one"
    )]
    Outlives { end: Timestamp },
}

/// Refuses skills beyond the maker's own. `None` stands for every skill.
pub fn check_skills(
    wished: Option<&[NamePattern]>,
    own: Option<&[NamePattern]>,
) -> Result<(), TooBroad> {
    let Some(own) = own else { return Ok(()) };
    let wished = wished.ok_or(TooBroad::EverySkill)?;
    match wished
        .iter()
        .find(|wished| !own.iter().any(|own| covers(own, wished)))
    {
        Some(beyond) => Err(TooBroad::Skills(beyond.clone())),
        None => Ok(()),
    }
}

/// Refuses an end behind the maker's own. `None` stands for a maker without an end.
pub fn check_end(wished: Timestamp, own: Option<Timestamp>) -> Result<(), TooBroad> {
    match own {
        Some(end) if wished > end => Err(TooBroad::Outlives { end }),
        _ => Ok(()),
    }
}

/// Whether every name that `inner` matches is matched by `outer`. Sound but not complete: `outer`
/// is asked about `inner` as text, with its stars in place, so a star of `inner` can only be
/// covered by a star of `outer`. Stars are no part of a name, so no literal piece matches one.
fn covers(outer: &NamePattern, inner: &NamePattern) -> bool {
    outer.matches(inner.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> NamePattern {
        text.parse().expect("a pattern")
    }

    fn patterns(texts: &[&str]) -> Vec<NamePattern> {
        texts.iter().map(|text| pattern(text)).collect()
    }

    #[test]
    fn skills_stay_within_the_maker() {
        let own = patterns(&["acme-*", "other"]);
        let wish = |texts: &[&str]| check_skills(Some(&patterns(texts)), Some(&own));
        assert_eq!(wish(&["acme-csv", "acme-x*", "acme-*-y", "other"]), Ok(()));
        assert_eq!(
            wish(&["acme-csv", "*"]),
            Err(TooBroad::Skills(pattern("*")))
        );
        assert_eq!(wish(&["other*"]), Err(TooBroad::Skills(pattern("other*"))));
        assert_eq!(wish(&["a*"]), Err(TooBroad::Skills(pattern("a*"))));
        assert_eq!(check_skills(None, Some(&own)), Err(TooBroad::EverySkill));
        assert_eq!(check_skills(None, None), Ok(()));
        assert_eq!(check_skills(Some(&own), None), Ok(()));
    }

    #[test]
    fn a_token_does_not_outlive_its_maker() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let end = at(100);
        assert_eq!(
            check_end(at(101), Some(end)),
            Err(TooBroad::Outlives { end })
        );
        assert_eq!(check_end(at(100), Some(at(100))), Ok(()));
        assert_eq!(check_end(at(101), None), Ok(()));
    }

    proptest! {
        /// The promise behind `covers`: no name slips out.
        #[test]
        fn what_is_covered_matches_nothing_more(
            outer in "[ab*-]{1,6}", inner in "[ab*-]{1,6}", name in "[ab-]{0,8}",
        ) {
            let (outer, inner) = (pattern(&outer), pattern(&inner));
            if covers(&outer, &inner) && inner.matches(&name) {
                prop_assert!(outer.matches(&name), "{} {} {}", outer, inner, name);
            }
        }
    }
}
