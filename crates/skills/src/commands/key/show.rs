//! Keys as tables and documents.

use jiff::Timestamp;
use serde_json::{Value, json};
use skill_client::{Clock, SystemClock};
use skill_signing::{KeyEntry, KeyState, Keyring};

use crate::context::Context;
use crate::failure::Failure;

pub fn list(keyring: &Keyring, context: &Context) -> Result<(), Failure> {
    let now = SystemClock.now();
    let entries = keyring.list()?;
    if entries.is_empty() {
        context.printer.note(
            "there are no keys yet: `skills key generate` makes one, `skills key import` takes one",
        );
    }
    let rows = entries.iter().map(|entry| {
        let key = &entry.key;
        [
            key.fingerprint().to_string(),
            key.user_ids().into_iter().next().unwrap_or_default(),
            key.algorithm(),
            key.expires_at().map_or_else(|| "never".to_owned(), day),
            state(&key.state(now)).to_owned(),
            entry.trust.as_str().to_owned(),
        ]
    });
    if !entries.is_empty() {
        context.printer.table(
            [
                "fingerprint",
                "user id",
                "algorithm",
                "expires",
                "state",
                "trust",
            ],
            rows,
        );
    }
    let documents: Vec<Value> = entries.iter().map(|entry| document(entry, now)).collect();
    context.printer.document(&json!({ "keys": documents }));
    Ok(())
}

/// A key as `--json` shows it.
pub fn document(entry: &KeyEntry, now: Timestamp) -> Value {
    let key = &entry.key;
    let revocation = key.revocation().map(|revocation| {
        json!({
            "reason": revocation.reason.as_str(),
            "text": revocation.text,
            "revokedAt": revocation.revoked_at,
        })
    });
    json!({
        "fingerprint": key.fingerprint(),
        "userIds": key.user_ids(),
        "algorithm": key.algorithm(),
        "createdAt": key.created_at(),
        "expiresAt": key.expires_at(),
        "state": state(&key.state(now)),
        "revocation": revocation,
        "trust": entry.trust.as_str(),
    })
}

fn state(state: &KeyState) -> &'static str {
    match state {
        KeyState::Valid => "valid",
        KeyState::Revoked(_) => "revoked",
        KeyState::Expired(_) => "expired",
        KeyState::NotYetValid(_) => "not yet valid",
    }
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
