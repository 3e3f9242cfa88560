//! `skills whoami`: the registry, the account, how one is signed in there, and one's keys.

use jiff::Timestamp;
use serde_json::json;
use skill_client::api::{ApiError, Me, RegisteredKey};

use crate::cli::account::WhoamiArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &WhoamiArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client(&args.registry)?;
    let (me, keys) = context.block_on(async {
        let me = client.me().await?;
        // The registry tells anybody a publisher's keys; a narrow token may not ask for them.
        let keys = match client.keys_of(&me.username).await {
            Err(ApiError::Refused(problem)) if problem.status == 403 => None,
            keys => Some(keys?),
        };
        Ok((me, keys))
    })?;
    let keys: Option<Vec<RegisteredKey>> = keys.map(|keys| {
        let mut keys = keys;
        keys.retain(|key| key.removed_at.is_none());
        keys
    });
    let registry = client.registry();
    let rows = [
        ("Registry", registry.to_string()),
        ("User", format!("{} ({})", me.username, me.role)),
        ("Signed in", how(&me, context.env("SKILLS_TOKEN").is_some())),
        ("May", may(&me)),
        ("Keys", keys_text(keys.as_deref())),
    ];
    for (label, text) in rows {
        let label = context.printer.dim(&format!("{label:<10}"));
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        context
            .printer
            .line(format!("{label} {}", crate::printer::safe(first)));
        for line in lines {
            let line = crate::printer::safe(line);
            context.printer.line(format!("{:<10} {line}", ""));
        }
    }
    context.printer.document(&json!({
        "username": me.username, "role": me.role, "scopes": me.scopes, "skills": me.skills,
        "tenant": me.tenant, "via": me.via, "tokenId": me.token_id, "tokenName": me.token_name,
        "expiresAt": me.expires_at, "registry": registry.url.to_string(), "registryName": registry.name,
        "keys": keys.map(|keys| keys.iter().map(key_as_json).collect::<Vec<_>>()),
    }));
    Ok(())
}

fn key_as_json(key: &RegisteredKey) -> serde_json::Value {
    json!({
        "fingerprint": key.fingerprint, "userIds": key.user_ids, "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
    })
}

fn how(me: &Me, is_from_environment: bool) -> String {
    if me.via.as_deref() != Some("api-token") {
        return "by a session; `skills logout` ends it".to_owned();
    }
    let mut text = "with an API token".to_owned();
    if let Some(name) = &me.token_name {
        text.push_str(&format!(" named {name:?}"));
    }
    if is_from_environment {
        text.push_str(" from SKILLS_TOKEN");
    }
    match me.expires_at {
        Some(end) => text.push_str(&format!(", which ends on {}", day(end))),
        None => text.push_str(", which does not end by itself"),
    }
    text
}

/// What this credential may do.
fn may(me: &Me) -> String {
    let scopes = match me.scopes.is_empty() {
        true => "nothing".to_owned(),
        false => me.scopes.join(", "),
    };
    match &me.skills {
        Some(skills) => format!("{scopes}; only for the skills {}", skills.join(", ")),
        None => scopes,
    }
}

fn keys_text(keys: Option<&[RegisteredKey]>) -> String {
    let keys = match keys {
        None => return "not shown: this token lacks the scope `read`".to_owned(),
        Some([]) => return "none registered; `skills key register` registers yours".to_owned(),
        Some(keys) => keys,
    };
    let lines = keys.iter().map(|key| {
        let user_id = key.user_ids.first().map_or("", String::as_str);
        let mut line = format!("{} {user_id}", key.fingerprint);
        if key.revoked_at.is_some() {
            line.push_str(" (revoked)");
        } else if let Some(end) = key.expires_at {
            line.push_str(&format!(" (until {})", day(end)));
        }
        line.replace('\n', " ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
