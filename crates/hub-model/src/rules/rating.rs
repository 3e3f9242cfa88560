//! Ratings: whole stars, one to five; one per user and skill (the database sees to that).

use skill_format::{Explain, Fault, Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rating is 1 to 5, not {given}")]
pub struct InvalidRating {
    pub given: i64,
}

/// Checks a rating as given.
pub fn parse(given: i64) -> Result<u8, InvalidRating> {
    match u8::try_from(given) {
        Ok(stars @ 1..=5) => Ok(stars),
        _ => Err(InvalidRating { given }),
    }
}

impl Explain for InvalidRating {
    fn code(&self) -> &'static str {
        "invalid-rating"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            field: Some("rating".into()),
            ..Place::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_to_five() {
        for stars in 1..=5 {
            assert_eq!(parse(i64::from(stars)), Ok(stars));
        }
        for given in [i64::MIN, -1, 0, 6, 256, 257, 261, i64::MAX] {
            assert_eq!(parse(given), Err(InvalidRating { given }));
        }
    }
}
