//! Who may come in through the provider, and as what. Pure.

use hub_model::Role;
use serde_json::{Map, Value};

use crate::auth::config::OidcConfig;
use crate::auth::username;

/// What the hub takes from a user's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The provider's name for the user; with the issuer it identifies the account.
    pub subject: String,
    /// A valid username, perhaps taken already.
    pub username: String,
    /// Only if the provider says that it is verified.
    pub email: Option<String>,
    /// What the provider's groups make of the user; `None` where roles are the hub's own matter.
    pub role: Option<Role>,
}

/// The provider knows the user, but this hub does not want them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error("your e-mail address is not in a domain that this hub admits, or is not verified")]
    Domain,
    #[error("you are in no group that this hub admits")]
    Group,
}

/// Applies the configuration to checked claims.
pub fn judge(claims: &Map<String, Value>, config: &OidcConfig) -> Result<Person, NotAllowed> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let email = text("email").filter(|_| is_true(claims.get("email_verified")));
    if !config.allowed_domains.is_empty() && !email.is_some_and(|email| in_domains(email, config)) {
        return Err(NotAllowed::Domain);
    }
    let groups = groups(claims.get(&config.groups_claim));
    let admitted = |group: &&str| config.allowed_groups.iter().any(|allowed| allowed == group);
    if !config.allowed_groups.is_empty() && !groups.iter().any(admitted) {
        return Err(NotAllowed::Group);
    }
    let subject = text("sub").unwrap_or_default();
    let called = text(&config.username_claim).or(email).unwrap_or(subject);
    Ok(Person {
        subject: subject.to_owned(),
        username: username::derive(called),
        email: email.filter(|email| email.len() <= 254).map(str::to_owned),
        role: role(&groups, config),
    })
}

/// The highest role of all groups. Where roles are mapped at all, who has left every mapped group
/// falls back to the default: leaving `ops` must not leave an administrator behind.
fn role(groups: &[&str], config: &OidcConfig) -> Option<Role> {
    if config.roles.is_empty() {
        return None;
    }
    let mapped = groups
        .iter()
        .filter_map(|group| config.roles.get(*group))
        .copied()
        .max();
    Some(mapped.unwrap_or(config.default_role))
}

/// Some providers write the boolean as text.
fn is_true(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Bool(true))) || value.and_then(Value::as_str) == Some("true")
}

fn in_domains(email: &str, config: &OidcConfig) -> bool {
    let Some((_, domain)) = email.rsplit_once('@') else {
        return false;
    };
    config
        .allowed_domains
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(domain))
}

/// A list of names, or one name.
fn groups(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(text: &str) -> OidcConfig {
        let base = "issuer = \"https://id.example.com\"\nclient_id = \"hub\"\n";
        toml::from_str(&format!("{base}{text}")).expect("a configuration")
    }

    fn judge_json(claims: Value, config: &OidcConfig) -> Result<Person, NotAllowed> {
        judge(claims.as_object().expect("an object"), config)
    }

    #[test]
    fn domains_want_a_verified_address_that_ends_in_one() {
        let config = config("allowed_domains = [\"example.com\"]");
        let with = |email: &str, verified: Value| {
            judge_json(
                json!({"sub": "1", "email": email, "email_verified": verified}),
                &config,
            )
        };
        assert!(with("al@example.com", json!(true)).is_ok());
        assert!(with("al@EXAMPLE.com", json!("true")).is_ok());
        assert_eq!(
            with("al@example.com", json!(false)),
            Err(NotAllowed::Domain)
        );
        assert_eq!(with("al@example.com", json!(null)), Err(NotAllowed::Domain));
        assert_eq!(
            with("al@notexample.com", json!(true)),
            Err(NotAllowed::Domain)
        );
        assert_eq!(
            with("al@sub.example.com", json!(true)),
            Err(NotAllowed::Domain)
        );
        assert_eq!(
            with("al@example.com@example.org", json!(true)),
            Err(NotAllowed::Domain)
        );
        assert_eq!(
            judge_json(json!({"sub": "1"}), &config),
            Err(NotAllowed::Domain)
        );
    }

    #[test]
    fn the_highest_role_of_all_groups_wins() {
        let config =
            config("[roles]\nstaff = \"publisher\"\nops = \"admin\"\neveryone = \"reader\"");
        let role = |groups: Value| {
            judge_json(json!({"sub": "1", "groups": groups}), &config)
                .expect("admitted")
                .role
        };
        assert_eq!(role(json!(["everyone", "ops", "staff"])), Some(Role::Admin));
        assert_eq!(role(json!("staff")), Some(Role::Publisher));
        assert_eq!(role(json!(["other"])), Some(Role::Publisher), "the default");
        assert_eq!(
            role(json!({"ops": true})),
            Some(Role::Publisher),
            "the default"
        );
    }

    #[test]
    fn without_a_mapping_roles_are_the_hubs_own_matter() {
        let claims = json!({"sub": "1", "groups": ["admin"]});
        assert_eq!(
            judge_json(claims, &config("")).expect("admitted").role,
            None
        );
    }

    #[test]
    fn groups_may_be_required() {
        let config = config("allowed_groups = [\"staff\"]");
        assert!(judge_json(json!({"sub": "1", "groups": ["staff"]}), &config).is_ok());
        let outside = judge_json(json!({"sub": "1", "groups": ["staff2"]}), &config);
        assert_eq!(outside, Err(NotAllowed::Group));
        assert_eq!(
            judge_json(json!({"sub": "1"}), &config),
            Err(NotAllowed::Group)
        );
    }

    #[test]
    fn the_username_comes_from_the_claim_or_the_next_best() {
        let config = config("");
        let name = |claims: Value| judge_json(claims, &config).expect("admitted").username;
        assert_eq!(
            name(json!({"sub": "1", "preferred_username": "Al.B"})),
            "al-b"
        );
        let email = json!({"sub": "1", "email": "al@example.com", "email_verified": true});
        assert_eq!(name(email), "al");
        assert_eq!(
            name(json!({"sub": "subject-7", "preferred_username": 7})),
            "subject-7"
        );
    }
}
