//! The text of a range. Knows nothing of what a comparator matches.

use semver::Prerelease;

use super::{Alternative, Comparator, Operator, Partial, RANGE_BYTES_MAX, Range, RangeError};

pub(super) fn range(text: &str) -> Result<Range, RangeError> {
    if text.len() > RANGE_BYTES_MAX {
        return Err(RangeError::TooLong { bytes: text.len() });
    }
    if text.trim().is_empty() {
        return Err(RangeError::Empty);
    }
    let alternatives = text
        .split("||")
        .map(alternative)
        .collect::<Result<_, _>>()?;
    let range = Range { alternatives };
    // Written with its commas, a range must still be one.
    match range.to_string().len() {
        bytes if bytes > RANGE_BYTES_MAX => Err(RangeError::TooLong { bytes }),
        _ => Ok(range),
    }
}

fn alternative(text: &str) -> Result<Alternative, RangeError> {
    let text = text.trim();
    if text == "latest" {
        return Ok(Alternative(Vec::new()));
    }
    let mut comparators = Vec::new();
    for group in text.split(',') {
        let mut rest = group.trim();
        if rest.is_empty() {
            return Err(malformed(text, "a comparator is missing"));
        }
        while !rest.is_empty() {
            let (comparator, after) = comparator(rest)?;
            comparators.extend(comparator);
            rest = after;
        }
    }
    Ok(Alternative(comparators))
}

/// The first comparator of `text`, or `None` where it allows everything, and what follows it.
fn comparator(text: &str) -> Result<(Option<Comparator>, &str), RangeError> {
    let (operator, rest) = operator(text);
    // `>= 1.0` is written with a space as often as without.
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| c.is_whitespace() || "<>=^~".contains(c))
        .unwrap_or(rest.len());
    let (version, after) = rest.split_at(end);
    if version.is_empty() {
        return Err(malformed(text, "a version is missing"));
    }
    let comparator = match (partial(version)?, operator) {
        (Some(version), operator) => Some(Comparator { operator, version }),
        (None, Operator::Greater | Operator::Less) => {
            return Err(malformed(text, "nothing is above or below every version"));
        }
        (None, _) => None,
    };
    Ok((comparator, after.trim_start()))
}

fn operator(text: &str) -> (Operator, &str) {
    const OPERATORS: [(&str, Operator); 8] = [
        (">=", Operator::GreaterEq),
        ("<=", Operator::LessEq),
        ("==", Operator::Exact),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("=", Operator::Exact),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
    ];
    OPERATORS
        .iter()
        .find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)))
        .unwrap_or((Operator::Exact, text))
}

/// A version whose end may be missing or a wildcard; `None` for a wildcard alone.
fn partial(text: &str) -> Result<Option<Partial>, RangeError> {
    let fail = |reason| malformed(text, reason);
    let without_build = match text.split_once('+') {
        Some((version, build)) => {
            let is_build = !build.is_empty() && semver::BuildMetadata::new(build).is_ok();
            if !is_build {
                return Err(fail("its build metadata is not valid"));
            }
            version
        }
        None => text,
    };
    let (numbers, pre) = match without_build.split_once('-') {
        Some((numbers, pre)) if !pre.is_empty() => {
            let pre = Prerelease::new(pre).map_err(|_| fail("its pre-release is not valid"))?;
            (numbers, pre)
        }
        Some(_) => return Err(fail("its pre-release is empty")),
        None => (without_build, Prerelease::EMPTY),
    };
    let parts = numbers
        .split('.')
        .map(number)
        .collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(fail)?;
    let (major, minor, patch) = match parts[..] {
        [major] => (major, None, None),
        [major, minor] => (major, minor, None),
        [major, minor, patch] => (major, minor, patch),
        _ => return Err(fail("a version has at most three numbers")),
    };
    let Some(major) = major else {
        let alone = minor.is_none() && patch.is_none() && pre.is_empty();
        return if alone {
            Ok(None)
        } else {
            Err(fail(AFTER_WILDCARD))
        };
    };
    if minor.is_none() && patch.is_some() {
        return Err(fail(AFTER_WILDCARD));
    }
    if !pre.is_empty() && patch.is_none() {
        return Err(fail("a pre-release follows three numbers"));
    }
    Ok(Some(Partial {
        major,
        minor,
        patch,
        pre,
    }))
}

const AFTER_WILDCARD: &str = "nothing can follow a wildcard";

/// A number without leading zeros, or `None` for a wildcard.
fn number(text: &str) -> Result<Option<u64>, &'static str> {
    if matches!(text, "*" | "x" | "X") {
        return Ok(None);
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("expected a number");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("a number has no leading zeros");
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err("a number is too large"),
    }
}

fn malformed(part: &str, reason: &'static str) -> RangeError {
    RangeError::Malformed {
        part: part.trim().to_owned(),
        reason,
    }
}
