//! Cuts text into the words that are indexed, asked for and highlighted: the
//! same function for all three, so that they always agree.

use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer runs are data, not words; tantivy's own limit is 64 KiB per term.
const WORD_BYTES_MAX: usize = 64;

/// One word: its folded form and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub term: String,
    pub place: Range<usize>,
}

/// The words of `text`, in order. Letters are folded (compatibility forms, case,
/// accents) and English plurals lose their ending; Han, Kana and Hangul, which
/// are written without spaces, are indexed letter by letter.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices() {
        if is_unspaced(letter) {
            push(&mut found, text, start.take(), at);
            push(&mut found, text, Some(at), at + letter.len_utf8());
        } else if letter.is_alphanumeric() || (start.is_some() && is_combining_mark(letter)) {
            start.get_or_insert(at);
        } else {
            push(&mut found, text, start.take(), at);
        }
    }
    push(&mut found, text, start, text.len());
    found
}

fn push(found: &mut Vec<Word>, text: &str, start: Option<usize>, end: usize) {
    let Some(start) = start else { return };
    let term = singular(fold(&text[start..end]));
    if !term.is_empty() && term.len() <= WORD_BYTES_MAX {
        found.push(Word {
            term,
            place: start..end,
        });
    }
}

fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let letters = word.nfkd().filter(|letter| !is_combining_mark(*letter));
    letters
        .flat_map(char::to_lowercase)
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// Harman's S-stemmer ("How effective is suffixing?", 1991): plurals only, so
/// that it never joins words of different meaning.
fn singular(mut word: String) -> String {
    if word.len() <= 3 || !word.is_ascii() || !word.ends_with('s') {
        return word;
    }
    let ends_with_any = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    if word.ends_with("ies") && !ends_with_any(&["eies", "aies"]) {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if !ends_with_any(&["us", "ss", "is", "aes", "ees", "oes"]) {
        word.truncate(word.len() - 1);
    }
    word
}

fn is_unspaced(letter: char) -> bool {
    matches!(u32::from(letter),
        0x3040..=0x30FF     // Hiragana, Katakana
        | 0x3400..=0x4DBF   // Han, extension A
        | 0x4E00..=0x9FFF   // Han
        | 0xAC00..=0xD7AF   // Hangul syllables
        | 0xF900..=0xFAFF   // Han, compatibility
        | 0x20000..=0x3FFFF // Han, further extensions
    )
}

/// [`words`] as tantivy's tokenizer.
#[derive(Debug, Clone, Default)]
pub(super) struct WordTokenizer;

pub(super) struct WordStream {
    words: std::vec::IntoIter<Word>,
    token: Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream {
        WordStream {
            words: words(text).into_iter(),
            token: Token::default(),
        }
    }
}

impl TokenStream for WordStream {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else {
            return false;
        };
        self.token = Token {
            offset_from: word.place.start,
            offset_to: word.place.end,
            position: self.token.position.wrapping_add(1),
            text: word.term,
            position_length: 1,
        };
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.term).collect()
    }

    #[test]
    fn case_accents_and_plurals_fold() {
        assert_eq!(
            terms("Résumés & Queries, CLASSES"),
            ["resume", "query", "classe"]
        );
        assert_eq!(
            terms("class status analysis"),
            ["class", "status", "analysis"]
        );
        assert_eq!(
            terms("data-analysis_expert v1.10"),
            ["data", "analysis", "expert", "v1", "10"]
        );
        assert_eq!(terms("ＣＳＶ"), ["csv"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_letter_by_letter() {
        assert_eq!(terms("数据csv分析"), ["数", "据", "csv", "分", "析"]);
    }

    proptest! {
        #[test]
        fn places_are_slices_of_the_text_in_order(text in "\\PC{0,80}") {
            let mut end = 0;
            for word in words(&text) {
                prop_assert!(word.place.start >= end);
                prop_assert!(text.get(word.place.clone()).is_some());
                prop_assert!(!word.term.is_empty());
                end = word.place.end;
            }
        }
    }
}
