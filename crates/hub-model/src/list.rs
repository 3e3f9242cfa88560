//! How the catalogue is listed: order, page, and the cursor that goes on where a page ended.
//! A cursor is opaque to clients and harmless when forged: it is only a place in an order, checked when parsed.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::SkillId;

/// The order of a list. Ties are broken by id, so that every order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Most downloads first.
    #[default]
    Downloads,
    /// Highest mean rating first, then most ratings.
    Rating,
    /// Most recently updated first.
    Recent,
    /// By name, bytewise ascending.
    Name,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::Downloads, Self::Rating, Self::Recent, Self::Name];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Rating => "rating",
            Self::Recent => "recent",
            Self::Name => "name",
        }
    }
}

/// A word that names no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is one of downloads, rating, recent, name")]
pub struct UnknownSort;

impl FromStr for Sort {
    type Err = UnknownSort;

    fn from_str(word: &str) -> Result<Self, UnknownSort> {
        Self::ALL
            .into_iter()
            .find(|sort| sort.as_str() == word)
            .ok_or(UnknownSort)
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After this many entries. Costs time in proportion, so it is bounded; cursors are not.
    Offset(u32),
    /// After the entry that the cursor names.
    After(Cursor),
}

/// A page as asked for, within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    pub start: Start,
}

/// A page that nobody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    #[error("limit is 1 to {}", Page::LIMIT_MAX)]
    Limit,
    #[error(
        "offset is at most {}; to read further, follow nextCursor",
        Page::OFFSET_MAX
    )]
    Offset,
}

impl Page {
    pub const LIMIT_MAX: u32 = 100;
    pub const LIMIT_DEFAULT: u32 = 20;
    /// Skipping 10,000 index entries takes about a millisecond.
    pub const OFFSET_MAX: u32 = 10_000;

    pub fn new(limit: u32, start: Start) -> Result<Self, InvalidPage> {
        if !(1..=Self::LIMIT_MAX).contains(&limit) {
            return Err(InvalidPage::Limit);
        }
        if matches!(start, Start::Offset(offset) if offset > Self::OFFSET_MAX) {
            return Err(InvalidPage::Offset);
        }
        Ok(Self { limit, start })
    }

    /// The first `limit` entries, `limit` cut to what is allowed.
    pub fn first(limit: u32) -> Self {
        Self {
            limit: limit.clamp(1, Self::LIMIT_MAX),
            start: Start::Offset(0),
        }
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many entries are skipped; 0 with a cursor.
    pub fn offset(&self) -> u32 {
        match self.start {
            Start::Offset(offset) => offset,
            Start::After(_) => 0,
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(Self::LIMIT_DEFAULT)
    }
}

/// The place right after one entry of an order: that entry's sort values and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub place: Place,
    pub id: SkillId,
}

/// The sort values of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Downloads(i64),
    /// Mean in millionths (see [`rating_rank`]) and count.
    Rating {
        rank: i64,
        count: i64,
    },
    /// Epoch milliseconds.
    Recent(i64),
    Name(String),
}

/// A text that is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid: use nextCursor of the previous page, unchanged")]
pub struct InvalidCursor;

impl Cursor {
    /// A name has at most 64 characters; hex doubles them.
    const LENGTH_MAX: usize = 512;

    pub fn sort(&self) -> Sort {
        match self.place {
            Place::Downloads(_) => Sort::Downloads,
            Place::Rating { .. } => Sort::Rating,
            Place::Recent(_) => Sort::Recent,
            Place::Name(_) => Sort::Name,
        }
    }

    /// URL-safe text.
    pub fn encode(&self) -> String {
        let id = self.id.as_uuid().simple();
        match &self.place {
            Place::Downloads(downloads) => format!("d.{downloads}.{id}"),
            Place::Rating { rank, count } => format!("r.{rank}.{count}.{id}"),
            Place::Recent(millis) => format!("u.{millis}.{id}"),
            Place::Name(name) => format!("n.{}.{id}", hex(name)),
        }
    }

    /// Reads a cursor for the order `sort`; one of another order is refused.
    pub fn parse(text: &str, sort: Sort) -> Result<Self, InvalidCursor> {
        if text.len() > Self::LENGTH_MAX {
            return Err(InvalidCursor);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let (place, id) = match (parts.as_slice(), sort) {
            (["d", downloads, id], Sort::Downloads) => (Place::Downloads(number(downloads)?), id),
            (["r", rank, count, id], Sort::Rating) => (
                Place::Rating {
                    rank: number(rank)?,
                    count: number(count)?,
                },
                id,
            ),
            (["u", millis, id], Sort::Recent) => (Place::Recent(number(millis)?), id),
            (["n", name, id], Sort::Name) => (Place::Name(unhex(name)?), id),
            _ => return Err(InvalidCursor),
        };
        Ok(Self {
            place,
            id: id.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// The mean rating in millionths of a star, 0 while nobody has rated: an integer, so that it orders the same everywhere.
pub fn rating_rank(sum: u64, count: u64) -> i64 {
    let millionths = u128::from(sum) * 1_000_000 / u128::from(count.max(1));
    i64::try_from(millionths).unwrap_or(i64::MAX)
}

fn number(text: &str) -> Result<i64, InvalidCursor> {
    text.parse().map_err(|_| InvalidCursor)
}

fn hex(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

fn unhex(text: &str) -> Result<String, InvalidCursor> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(InvalidCursor);
    }
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    let bytes = text
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect();
    let text = String::from_utf8(bytes).map_err(|_| InvalidCursor)?;
    if text.contains('\0') {
        Err(InvalidCursor)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> SkillId {
        "00000000-0000-7000-8000-0000000000ff"
            .parse()
            .expect("an id")
    }

    #[test]
    fn pages_are_bounded() {
        for (limit, start, expected) in [
            (1, Start::Offset(0), Ok(())),
            (100, Start::Offset(10_000), Ok(())),
            (0, Start::Offset(0), Err(InvalidPage::Limit)),
            (101, Start::Offset(0), Err(InvalidPage::Limit)),
            (20, Start::Offset(10_001), Err(InvalidPage::Offset)),
            (20, Start::Offset(u32::MAX), Err(InvalidPage::Offset)),
        ] {
            assert_eq!(Page::new(limit, start).map(|_| ()), expected);
        }
        assert_eq!(Page::default().limit(), 20);
        assert_eq!(Page::first(1_000).limit(), 100);
        assert_eq!(Page::first(0).limit(), 1);
    }

    #[test]
    fn orders_have_their_words() {
        for sort in Sort::ALL {
            assert_eq!(sort.as_str().parse(), Ok(sort));
        }
        assert_eq!("popularity".parse::<Sort>(), Err(UnknownSort));
    }

    #[test]
    fn a_cursor_belongs_to_its_order() {
        let cursor = Cursor {
            place: Place::Downloads(5),
            id: id(),
        };
        for sort in Sort::ALL {
            let parsed = Cursor::parse(&cursor.encode(), sort);
            assert_eq!(parsed.is_ok(), sort == Sort::Downloads);
        }
    }

    #[test]
    fn refuses_what_is_no_cursor() {
        let id = id();
        for text in [
            String::new(),
            "d".into(),
            "d.".into(),
            "d.5".into(),
            format!("d.5.{id}.x"),
            format!("d..{id}"),
            format!("d.99999999999999999999.{id}"),
            format!("n.zz.{id}"),
            format!("n.6.{id}"),
            format!("n.ff.{id}"),
            format!("n.00.{id}"),
            format!("d.5.{}", "0".repeat(5_000)),
            "d.5.' OR 1=1".into(),
        ] {
            for sort in Sort::ALL {
                assert_eq!(Cursor::parse(&text, sort), Err(InvalidCursor), "{text:?}");
            }
        }
    }

    #[test]
    fn ranks_are_means_in_millionths() {
        assert_eq!(rating_rank(0, 0), 0);
        assert_eq!(rating_rank(5, 1), 5_000_000);
        assert_eq!(rating_rank(14, 3), 4_666_666);
        assert_eq!(rating_rank(u64::MAX, 1), i64::MAX);
    }

    fn places() -> impl Strategy<Value = Place> {
        prop_oneof![
            any::<i64>().prop_map(Place::Downloads),
            (any::<i64>(), any::<i64>()).prop_map(|(rank, count)| Place::Rating { rank, count }),
            any::<i64>().prop_map(Place::Recent),
            "[^\0]{0,40}".prop_map(Place::Name),
        ]
    }

    proptest! {
        #[test]
        fn cursors_round_trip_and_need_no_escaping(place in places(), id in any::<u128>()) {
            let id = SkillId::from_uuid(uuid::Uuid::from_u128(id));
            let cursor = Cursor { place, id };
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'));
            prop_assert_eq!(Cursor::parse(&text, cursor.sort()), Ok(cursor));
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".{0,200}") {
            for sort in Sort::ALL {
                let _ = Cursor::parse(&text, sort);
            }
        }
    }
}
