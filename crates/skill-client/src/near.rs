//! Which of the known names a mistyped one was probably meant to be. Knows nothing of what the
//! names stand for.

/// Up to `count_max` of `known` that are close to `wanted`, nearest first, ties in the order of `known`.
pub fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
    count_max: usize,
) -> Vec<String> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().take(NAME_CHARS_MAX).collect();
    // One mistake per three letters still looks like the same word; two are always forgiven.
    let distance_max = (wanted.len() / 3).max(2);
    let mut close: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let letters: Vec<char> = name.to_lowercase().chars().take(NAME_CHARS_MAX).collect();
            let distance = if contains(&letters, &wanted) || contains(&wanted, &letters) {
                1
            } else {
                distance(&wanted, &letters)
            };
            (distance <= distance_max && distance < wanted.len()).then_some((distance, name))
        })
        .collect();
    close.sort_by_key(|&(distance, _)| distance);
    close
        .into_iter()
        .take(count_max)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// "did you mean `a`?" or "did you mean one of `a`, `b`?"; nothing for no names.
pub fn did_you_mean(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [only] => Some(format!("did you mean `{only}`?")),
        several => Some(format!(
            "did you mean one of {}?",
            several
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// Names are at most 64 characters by their own rules; longer input is not worth comparing further.
const NAME_CHARS_MAX: usize = 80;

fn contains(whole: &[char], part: &[char]) -> bool {
    part.len() >= 4 && whole.windows(part.len()).any(|window| window == part)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word() {
        let known = ["claude-code", "codex", "cursor", "gemini-cli"];
        assert_eq!(nearest("cluade-code", known, 3), ["claude-code"]);
        assert_eq!(nearest("claude", known, 3), ["claude-code"]);
        assert_eq!(nearest("Codx", known, 3), ["codex"]);
        assert!(nearest("zzzzzzzz", known, 3).is_empty());
        assert!(nearest("", known, 3).is_empty());
    }

    #[test]
    fn swapped_neighbours_count_once() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("abcd"), &letters("abdc")), 1);
        assert_eq!(distance(&letters(""), &letters("abc")), 3);
        assert_eq!(distance(&letters("kitten"), &letters("sitting")), 3);
    }

    #[test]
    fn the_question_names_what_there_is() {
        assert_eq!(did_you_mean(&[]), None);
        assert_eq!(
            did_you_mean(&["a".into(), "b".into()]).as_deref(),
            Some("did you mean one of `a`, `b`?")
        );
    }
}
