//! What a person probably meant by a word that is not known.

/// The word of `known` that differs from `word` by at most a third of its letters, and least.
///
/// Case, `-` and `_` do not count, so that `input_schema` and `inputSchema` find `input-schema`.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words are no typing errors of a field's name.
    const WORD_BYTES_MAX: usize = 64;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word: Vec<char> = folded(word).collect();
    let distances = known.into_iter().map(|candidate| {
        let letters: Vec<char> = folded(candidate).collect();
        (distance(&word, &letters), candidate)
    });
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    let letters = candidate.len().max(word.len());
    (distance * 3 <= letters).then_some(candidate)
}

/// Whether two spellings differ only in case, `-` and `_`.
pub(crate) fn same_word(a: &str, b: &str) -> bool {
    folded(a).eq(folded(b))
}

fn folded(word: &str) -> impl Iterator<Item = char> {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised_and_other_words_are_not() {
        let known = ["description", "license", "input-schema", "tags"];
        assert_eq!(nearest("desciption", known), Some("description"));
        assert_eq!(nearest("licence", known), Some("license"));
        assert_eq!(nearest("tgas", known), Some("tags"));
        assert_eq!(nearest("inputSchema", known), Some("input-schema"));
        assert_eq!(nearest("category", known), None);
        assert_eq!(nearest("", known), None);
        assert!(same_word("public_key_id", "public-key-id"));
    }
}
