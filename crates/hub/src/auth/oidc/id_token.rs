//! Judges an ID token (OpenID Connect Core 1.0 §3.1.3.7). Pure: keys, time and expectations are
//! passed in.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// Providers put groups into ID tokens, so they get long; this is four times nginx's default
/// header buffer.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// Signatures under a key that only the provider has. Never `none`, never HMAC: with HMAC the
/// provider's public key, or a client secret that leaked, would be enough to make tokens.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why an ID token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error("it is not a signed token")]
    Malformed,
    #[error("its signing algorithm is not allowed")]
    Algorithm,
    #[error("the provider has no such signing key")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired, or lies in the future")]
    Time,
    #[error("it answers another sign-in")]
    Nonce,
    #[error("it names no subject, or another one than the rest of the answer")]
    Subject,
}

/// What an ID token must say.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// What the provider says it signs with; empty means whatever is safe.
    pub algorithms: &'a [String],
    pub now: Timestamp,
    /// Tolerated difference of clocks.
    pub skew: SignedDuration,
}

/// The provider's public keys.
#[derive(Clone)]
pub struct KeySet(Vec<Jwk>);

impl KeySet {
    /// Keeps the signature keys that are understood; a provider may publish others.
    pub fn new(keys: Vec<Value>) -> Self {
        let keys = keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let signs = |key: &Jwk| {
            matches!(
                key.common.public_key_use,
                None | Some(PublicKeyUse::Signature)
            )
        };
        Self(keys.filter(signs).collect())
    }

    /// The keys that a token's header can mean.
    fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &Jwk> {
        self.0.iter().filter(move |key| match kid {
            Some(kid) => key.common.key_id.as_deref() == Some(kid),
            None => true,
        })
    }
}

/// The claims of a token that meets every expectation.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(IdTokenError::Malformed);
    }
    let header = decode_header(token).map_err(|_| IdTokenError::Malformed)?;
    let name = format!("{:?}", header.alg);
    let announced = expected.algorithms.is_empty() || expected.algorithms.contains(&name);
    if !ALGORITHMS.contains(&header.alg) || !announced {
        return Err(IdTokenError::Algorithm);
    }
    let claims = check_signature(token, keys, header.alg, header.kid.as_deref())?;
    check_parties(&claims, expected)?;
    check_times(&claims, expected)?;
    let nonce = claims
        .get("nonce")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(IdTokenError::Nonce);
    }
    match claims.get("sub").and_then(Value::as_str) {
        // Core §2: at most 255 ASCII characters.
        Some(subject) if !subject.is_empty() && subject.len() <= 255 && subject.is_ascii() => {
            Ok(claims)
        }
        _ => Err(IdTokenError::Subject),
    }
}

fn check_signature(
    token: &str,
    keys: &KeySet,
    algorithm: Algorithm,
    kid: Option<&str>,
) -> Result<Map<String, Value>, IdTokenError> {
    let mut verdict = IdTokenError::UnknownKey;
    for jwk in keys.candidates(kid) {
        let Ok(key) = DecodingKey::from_jwk(jwk) else {
            continue;
        };
        if key.family() != algorithm.family() {
            continue;
        }
        match decode::<Map<String, Value>>(token, &key, &signature_only(algorithm)) {
            Ok(data) => return Ok(data.claims),
            Err(_) => verdict = IdTokenError::Signature,
        }
    }
    Err(verdict)
}

/// The claims are checked here, against the hub's clock and with errors that tell them apart.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(IdTokenError::Issuer);
    }
    let us = Some(expected.client_id);
    let (for_us, several) = match claims.get("aud") {
        Some(Value::String(audience)) => (Some(audience.as_str()) == us, false),
        Some(Value::Array(all)) => (all.iter().any(|one| one.as_str() == us), all.len() > 1),
        _ => (false, false),
    };
    let authorized = match claims.get("azp") {
        Some(party) => party.as_str() == us,
        None => !several,
    };
    if for_us && authorized {
        Ok(())
    } else {
        Err(IdTokenError::Audience)
    }
}

fn check_times(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let now = expected.now.as_second();
    let skew = expected.skew.as_secs();
    // Some providers write fractions of seconds.
    let time = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_f64)
            .map(|seconds| seconds as i64)
    };
    let expires = time("exp").ok_or(IdTokenError::Time)?;
    let issued = time("iat").ok_or(IdTokenError::Time)?;
    let begins = time("nbf").unwrap_or(issued);
    if now - skew >= expires || issued.max(begins) > now + skew {
        return Err(IdTokenError::Time);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
