//! Which usernames exist. Usernames stand in URLs, in listings and beside what people install,
//! so they are plain ASCII that cannot be mistaken for another.

/// GitHub's length, long enough for a name and short enough for a table.
pub const LENGTH_MAX: usize = 39;

/// Names that would speak for the hub, or that stand in its URLs.
const RESERVED: [&str; 24] = [
    "admin",
    "administrator",
    "anonymous",
    "api",
    "auth",
    "default",
    "everyone",
    "help",
    "hub",
    "me",
    "moderator",
    "nobody",
    "null",
    "official",
    "owner",
    "registry",
    "root",
    "security",
    "skills",
    "staff",
    "support",
    "system",
    "undefined",
    "user",
];

/// The name of somebody whose provider calls them nothing that a username can be made from.
const FALLBACK: &str = "member";

/// Why a text is no username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsernameRule {
    #[error("a username has 2 to {LENGTH_MAX} characters")]
    Length,
    #[error(
        "a username has letters a-z, digits and single hyphens, and begins and ends with a letter or digit"
    )]
    Characters,
    #[error("this username is reserved")]
    Reserved,
}

/// Checks a username's form.
pub fn check(username: &str) -> Result<(), UsernameRule> {
    if !(2..=LENGTH_MAX).contains(&username.len()) {
        return Err(UsernameRule::Length);
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let words = username.split('-');
    if !words
        .into_iter()
        .all(|word| !word.is_empty() && word.bytes().all(fits))
    {
        return Err(UsernameRule::Characters);
    }
    Ok(())
}

/// Checks a username that its owner chose, who may not speak for the hub.
pub fn check_chosen(username: &str) -> Result<(), UsernameRule> {
    check(username)?;
    if RESERVED.contains(&username) {
        return Err(UsernameRule::Reserved);
    }
    Ok(())
}

/// The nearest username to what an identity provider calls a person (`Ana.Lima@example.com` →
/// `ana-lima`), or `member` if nothing is left of it.
pub fn derive(claim: &str) -> String {
    let local = claim.split('@').next().unwrap_or_default();
    let mut name = String::new();
    for c in local.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
        if name.len() == LENGTH_MAX {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    match check_chosen(name) {
        Ok(()) => name.to_owned(),
        Err(_) if name.is_empty() => FALLBACK.to_owned(),
        Err(_) => format!(
            "{}-{FALLBACK}",
            clipped(name, LENGTH_MAX - FALLBACK.len() - 1)
        ),
    }
}

/// `name` with a number behind it, for when the name is taken.
pub fn numbered(name: &str, number: u32) -> String {
    let suffix = format!("-{number}");
    format!("{}{suffix}", clipped(name, LENGTH_MAX - suffix.len()))
}

fn clipped(name: &str, length: usize) -> &str {
    name.get(..length).unwrap_or(name).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_is_strict() {
        for good in ["al", "alice", "alice-2", "4711", "a-b-c"] {
            assert_eq!(check_chosen(good), Ok(()), "{good}");
        }
        for bad in [
            "Alice", "alíce", "-alice", "alice-", "al--ice", "al ice", "a.b", "a/b", "<b>",
        ] {
            assert_eq!(check_chosen(bad), Err(UsernameRule::Characters), "{bad}");
        }
        assert_eq!(check_chosen("a"), Err(UsernameRule::Length));
        assert_eq!(check_chosen(&"a".repeat(40)), Err(UsernameRule::Length));
        assert_eq!(check_chosen("admin"), Err(UsernameRule::Reserved));
        assert_eq!(check("admin"), Ok(()));
    }

    #[test]
    fn claims_become_names() {
        assert_eq!(derive("Ana.Lima@example.com"), "ana-lima");
        assert_eq!(derive("__x y__"), "x-y");
        assert_eq!(derive("admin"), "admin-member");
        assert_eq!(derive("漢字"), "member");
        assert_eq!(numbered("alice", 2), "alice-2");
        assert_eq!(numbered(&"a".repeat(39), 10).len(), 39);
    }

    proptest! {
        #[test]
        fn whatever_the_claim_the_name_is_valid(claim in ".{0,80}", number in 2u32..1_000_000) {
            let name = derive(&claim);
            prop_assert_eq!(check_chosen(&name), Ok(()), "{}", name);
            let numbered = numbered(&name, number);
            prop_assert_eq!(check_chosen(&numbered), Ok(()), "{}", numbered);
        }
    }
}
