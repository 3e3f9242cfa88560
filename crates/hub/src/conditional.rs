//! Entity tags, conditional requests and byte ranges (RFC 9110 §8.8, §13, §14).
//! Pure: headers in, decisions out.

use std::ops::Range;

use http::HeaderMap;
use http::header::{HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use skill_format::Sha256;

/// A weak tag of `body`: the same meaning, whatever the encoding it is sent in.
/// 64 bits are plenty to tell two states of one resource apart.
pub fn weak_tag(body: &[u8]) -> HeaderValue {
    tag(format!("W/\"{}\"", &Sha256::of(body).hex()[..16]))
}

/// The strong tag of an archive: `"sha256-<hex>"`.
pub fn archive_tag(sha256_hex: &str) -> HeaderValue {
    tag(format!("\"sha256-{sha256_hex}\""))
}

fn tag(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"-\""))
}

/// Whether `If-None-Match` names `current` (weak comparison, RFC 9110 §13.1.2).
pub fn none_match(headers: &HeaderMap, current: &HeaderValue) -> bool {
    let Ok(current) = current.to_str() else {
        return false;
    };
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || opaque(candidate) == opaque(current))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// What part of a representation is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Whole,
    Bytes(Range<u64>),
    /// 416: no byte of it exists.
    Unsatisfiable,
}

/// The part that `Range` asks for. Anything but one range of bytes may be
/// ignored (RFC 9110 §14.2), and is: the whole is always a right answer.
/// `If-Range` with another tag, or with a date, means the whole too.
pub fn part(headers: &HeaderMap, size: u64, current: &HeaderValue) -> Part {
    if headers
        .get(IF_RANGE)
        .is_some_and(|wanted| wanted != current)
    {
        return Part::Whole;
    }
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    range
        .and_then(|range| parse_range(range, size))
        .unwrap_or(Part::Whole)
}

fn parse_range(range: &str, size: u64) -> Option<Part> {
    let (unit, spec) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let (start, end) = match (number(first)?, number(last)?) {
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), last) => (
            first,
            last.map_or(size, |last| last.saturating_add(1).min(size)),
        ),
        (None, Some(0)) => return Some(Part::Unsatisfiable),
        (None, Some(suffix)) => (size.saturating_sub(suffix), size),
        (None, None) => return None,
    };
    Some(if start >= size {
        Part::Unsatisfiable
    } else {
        Part::Bytes(start..end)
    })
}

/// `Some(None)` for an absent number, `None` for something else than digits.
fn number(digits: &str) -> Option<Option<u64>> {
    let digits = digits.trim();
    if digits.is_empty() {
        return Some(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are a place beyond every end.
    Some(Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), value.parse().expect("a header"));
        }
        headers
    }

    fn asked(range: &str) -> Part {
        part(&headers(&[(RANGE, range)]), 100, &archive_tag("ab"))
    }

    #[test]
    fn ranges_of_the_rfc() {
        assert_eq!(asked("bytes=0-9"), Part::Bytes(0..10));
        assert_eq!(asked("bytes=90-"), Part::Bytes(90..100));
        assert_eq!(asked("bytes=-10"), Part::Bytes(90..100));
        assert_eq!(asked("bytes=-1000"), Part::Bytes(0..100));
        assert_eq!(asked("bytes=50-100000"), Part::Bytes(50..100));
        assert_eq!(asked("BYTES = 1-1"), Part::Bytes(1..2));
        assert_eq!(asked("bytes=100-"), Part::Unsatisfiable);
        assert_eq!(asked("bytes=-0"), Part::Unsatisfiable);
        assert_eq!(asked("bytes=99999999999999999999-"), Part::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=9-1",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=+1-2",
        ] {
            assert_eq!(asked(range), Part::Whole, "{range}");
        }
    }

    #[test]
    fn an_if_range_of_another_version_asks_for_the_whole() {
        let current = archive_tag("ab");
        let of = |tag: &str| {
            part(
                &headers(&[(RANGE, "bytes=0-1"), (IF_RANGE, tag)]),
                100,
                &current,
            )
        };
        assert_eq!(of("\"sha256-ab\""), Part::Bytes(0..2));
        assert_eq!(of("\"sha256-cd\""), Part::Whole);
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Part::Whole);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let current = weak_tag(b"body");
        let text = current.to_str().expect("ascii");
        let matches = |value: &str| none_match(&headers(&[(IF_NONE_MATCH, value)]), &current);
        assert!(matches(text) && matches("*") && matches(&text[2..]));
        assert!(matches(&format!("\"other\", {text}")));
        assert!(!matches("\"other\"") && !matches(""));
        assert!(!none_match(&HeaderMap::new(), &current));
    }

    proptest! {
        #[test]
        fn a_range_is_never_empty_and_never_beyond_the_end(range in "bytes=[0-9]{0,4}-[0-9]{0,4}", size in 0_u64..300) {
            let headers = headers(&[(RANGE, &range)]);
            if let Part::Bytes(bytes) = part(&headers, size, &archive_tag("ab")) {
                prop_assert!(bytes.start < bytes.end && bytes.end <= size);
            }
        }
    }
}
