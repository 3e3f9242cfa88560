//! What a registry may have signed to prove that one has a key: its own registration text and
//! nothing else.
//!
//! A hostile registry could otherwise name a statement about a skill as the "challenge" and get it
//! signed, or pass on the challenge of another registry and register the key there as its own.

use skill_format::{Explain, Fault};
use url::Url;

use crate::config::RegistryUrl;

/// How the text begins that is signed for a registration.
const HEADER: &str = "skills hub key registration v1";

/// Why a challenge is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    #[error("the registry asks to sign something else than the registration of a key")]
    Unknown,
    #[error("the registry at {registry} asks for a proof for `{named}`")]
    Foreign { registry: String, named: String },
}

impl Explain for ChallengeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "key-challenge-unknown",
            Self::Foreign { .. } => "key-challenge-foreign",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Denied
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unknown => "do not trust this registry, or update this program".into(),
            Self::Foreign { named, .. } => format!(
                "nothing was signed; if both are one registry, use the address that it gives itself \
                 (--registry {named}), or have its operator correct `public_url`"
            ),
        })
    }
}

/// Whether this text may be signed for this registry.
pub(super) fn check(challenge: &str, registry: &RegistryUrl) -> Result<(), ChallengeError> {
    let mut lines = challenge.lines();
    if lines.next() != Some(HEADER) {
        return Err(ChallengeError::Unknown);
    }
    let named = lines
        .find_map(|line| line.strip_prefix("hub: "))
        .unwrap_or_default();
    if Url::parse(named).is_ok_and(|named| place(&named) == place(registry.url())) {
        return Ok(());
    }
    Err(ChallengeError::Foreign {
        registry: registry.to_string(),
        named: named.to_owned(),
    })
}

/// What makes an address that of one registry. Any name of this machine is as good as another, also
/// the one under which a server listens on all of its addresses.
fn place(address: &Url) -> (String, String, Option<u16>, String) {
    let host = address.host_str().unwrap_or_default();
    let is_here = matches!(
        host,
        "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0" | "[::]"
    );
    let host = if is_here { "localhost" } else { host }.to_owned();
    let path = address.path().trim_end_matches('/').to_owned();
    (
        address.scheme().to_owned(),
        host,
        address.port_or_known_default(),
        path,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(challenge: &str, registry: &str) -> Result<(), &'static str> {
        let registry = registry.parse().expect("a good address");
        check(challenge, &registry).map_err(|error| error.code())
    }

    fn challenge(hub: &str) -> String {
        format!("{HEADER}\nhub: {hub}\nuser: alice\ntoken: x\n")
    }

    #[test]
    fn only_the_registrys_own_challenge_is_signed() {
        let verdict = |hub: &str| verdict(&challenge(hub), "https://hub.example.org");
        assert_eq!(verdict("https://hub.example.org"), Ok(()));
        assert_eq!(verdict("https://hub.example.org/"), Ok(()));
        let foreign = Err("key-challenge-foreign");
        for other in [
            "https://other.example.org",
            "https://hub.example.org:8443",
            "https://hub.example.org/other",
            "http://hub.example.org",
            "",
        ] {
            assert_eq!(verdict(other), foreign, "{other}");
        }
    }

    #[test]
    fn a_statement_is_never_signed_as_a_challenge() {
        let registry = "https://hub.example.org";
        let statement = "skills statement 1\nname: x\nhub: https://hub.example.org\n";
        for text in [
            statement,
            "",
            "\nskills hub key registration v1\n",
            "challenge",
        ] {
            assert_eq!(
                verdict(text, registry),
                Err("key-challenge-unknown"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_name_of_this_machine_is_the_same_place() {
        let registry = "http://localhost:18801";
        for host in ["127.0.0.1", "[::1]", "0.0.0.0", "[::]", "localhost"] {
            assert_eq!(
                verdict(&challenge(&format!("http://{host}:18801")), registry),
                Ok(())
            );
        }
        let other = verdict(&challenge("http://127.0.0.1:18802"), registry);
        assert_eq!(other, Err("key-challenge-foreign"));
    }
}
