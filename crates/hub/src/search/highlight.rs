//! Shows which words of a text were asked for, and what was probably meant.

use super::query::typing_errors;
use super::words::{Word, words};

/// Longest excerpt, in bytes of the text (entities and marks come on top).
const EXCERPT_BYTES_MAX: usize = 240;

/// An excerpt of `text` as HTML: everything escaped, the words that match inside
/// `<em>`. `None` if no word matches.
pub(super) fn highlight(text: &str, terms: &[String]) -> Option<String> {
    let found: Vec<Word> = words(text)
        .into_iter()
        .filter(|word| terms.iter().any(|term| matches(term, &word.term)))
        .collect();
    let first = found.first()?;
    let start = excerpt_start(text, first.place.start);
    let end = floor(text, start + EXCERPT_BYTES_MAX);
    let mut html = String::with_capacity(end - start + 64);
    if start > 0 {
        html.push('…');
    }
    let mut at = start;
    for word in found
        .iter()
        .filter(|word| word.place.start >= start && word.place.end <= end)
    {
        escape(&mut html, &text[at..word.place.start]);
        html.push_str("<em>");
        escape(&mut html, &text[word.place.clone()]);
        html.push_str("</em>");
        at = word.place.end;
    }
    escape(&mut html, &text[at..end]);
    if end < text.len() {
        html.push('…');
    }
    Some(html)
}

/// Begins at the text's beginning, or a little before the first match.
fn excerpt_start(text: &str, first_match: usize) -> usize {
    if first_match < EXCERPT_BYTES_MAX / 2 {
        return 0;
    }
    let about = floor(text, first_match - EXCERPT_BYTES_MAX / 4);
    let space = text[about..first_match].find(char::is_whitespace);
    space.map_or(about, |space| {
        let after = about + space;
        after + text[after..].chars().next().map_or(0, char::len_utf8)
    })
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn escape(html: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

/// Whether a word of a text counts as the word asked for: the same, or so close
/// that the fuzzy search would have found it, or begun by it.
fn matches(asked: &str, word: &str) -> bool {
    if asked == word || (asked.chars().count() >= 3 && word.starts_with(asked)) {
        return true;
    }
    let errors = usize::from(typing_errors(asked));
    errors > 0 && edit_distance(asked, word, errors) <= errors
}

/// `query`, each unknown word replaced by the nearest of `known`; `None` if that
/// changes nothing.
pub(super) fn suggest(
    terms: &[String],
    is_known: impl Fn(&str) -> bool,
    known: &[String],
) -> Option<String> {
    let mut changed = false;
    let better: Vec<&str> = terms
        .iter()
        .map(|term| {
            if !is_long_enough(term) || is_known(term) {
                return term.as_str();
            }
            let nearest = known
                .iter()
                .filter(|word| is_long_enough(word))
                .map(|word| (edit_distance(term, word, SUGGESTION_ERRORS_MAX), word))
                .filter(|(distance, _)| *distance <= SUGGESTION_ERRORS_MAX)
                .min_by_key(|(distance, word)| (*distance, word.len().abs_diff(term.len())));
            match nearest {
                Some((_, word)) => {
                    changed = true;
                    word.as_str()
                }
                None => term.as_str(),
            }
        })
        .collect();
    changed.then(|| better.join(" "))
}

const SUGGESTION_ERRORS_MAX: usize = 2;

/// Two errors make any word of two letters into any other.
fn is_long_enough(word: &str) -> bool {
    word.chars().count() > SUGGESTION_ERRORS_MAX
}

/// Optimal string alignment distance (insert, delete, replace, swap neighbours);
/// anything over `max` may come out as `max + 1`.
pub(super) fn edit_distance(a: &str, b: &str, max: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > max {
        return max + 1;
    }
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (above[j] + 1)
                .min(row[j - 1] + 1)
                .min(above[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row[j] = least;
        }
        if row.iter().all(|distance| *distance > max) {
            return max + 1;
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn matches_are_marked_and_everything_is_escaped() {
        let html = highlight("Analyses <b>CSV</b> files & more", &terms(&["csv", "file"]));
        let expected = "Analyses &lt;b&gt;<em>CSV</em>&lt;/b&gt; <em>files</em> &amp; more";
        assert_eq!(html.as_deref(), Some(expected));
        assert_eq!(highlight("nothing here", &terms(&["csv"])), None);
    }

    #[test]
    fn a_late_match_is_shown_with_its_surroundings() {
        let text = format!("{} needle {}", "straw ".repeat(100), "hay ".repeat(100));
        let html = highlight(&text, &terms(&["needle"])).expect("a match");
        assert!(html.starts_with('…') && html.ends_with('…'), "{html}");
        assert!(
            html.contains("<em>needle</em>") && html.len() < 300,
            "{html}"
        );
    }

    #[test]
    fn unknown_words_are_replaced_by_near_ones() {
        let known = terms(&["data", "analysis", "csv"]);
        let is_known = |word: &str| known.iter().any(|known| known == word);
        let suggest = |words: &[&str]| suggest(&terms(words), is_known, &known);
        assert_eq!(
            suggest(&["dta", "analisys"]).as_deref(),
            Some("data analysis")
        );
        assert_eq!(suggest(&["data"]), None);
        assert_eq!(suggest(&["zzzzzzz"]), None);
        let known = terms(&["a", "of", "data"]);
        let suggest = |words: &[&str]| super::suggest(&terms(words), |_| false, &known);
        assert_eq!(suggest(&["b"]), None, "any letter is near to any other");
        assert_eq!(suggest(&["off"]), None);
        assert_eq!(suggest(&["b", "dta"]).as_deref(), Some("b data"));
    }

    #[test]
    fn distances_of_known_pairs() {
        for (a, b, distance) in [("ab", "ba", 1), ("kitten", "sitting", 3), ("", "abc", 3)] {
            assert_eq!(edit_distance(a, b, 5), distance, "{a} {b}");
        }
        assert_eq!(edit_distance("abcdef", "uvwxyz", 2), 3);
    }

    proptest! {
        #[test]
        fn a_highlight_without_its_marks_is_escaped_text(
            text in "\\PC{0,400}", word in "[a-z]{1,6}"
        ) {
            if let Some(html) = highlight(&format!("{text} {word} {text}"), &[word]) {
                let bare = html.replace("<em>", "").replace("</em>", "");
                prop_assert!(!bare.contains('<') && !bare.contains('>'));
            }
        }
    }
}
