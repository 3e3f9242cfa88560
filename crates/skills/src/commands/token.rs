//! `skills token create|list|revoke`

use jiff::Timestamp;
use serde_json::{Value, json};
use skill_client::api::{ApiToken, TokenRequest};

use crate::cli::account::{TokenAction, TokenArgs};
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &TokenArgs, context: &Context) -> Result<(), Failure> {
    match &args.action {
        TokenAction::Create {
            name,
            scopes,
            skills,
            expires,
            registry,
        } => {
            let client = context.client(registry)?;
            let wanted = TokenRequest {
                name: name.clone(),
                scopes: scopes.clone(),
                skills: skills.clone(),
                expires_in_days: *expires,
            };
            let created = context.block_on(async { Ok(client.create_token(&wanted).await?) })?;
            context.printer.note(match created.info.expires_at {
                Some(end) => format!(
                    "this is the only time that the token is shown; it ends on {}",
                    end.strftime("%Y-%m-%d at %H:%M UTC")
                ),
                None => "this is the only time that the token is shown".to_owned(),
            });
            context.printer.line(created.token.expose());
            let mut document = as_json(&created.info);
            document["token"] = created.token.expose().into();
            context.printer.document(&document);
            Ok(())
        }
        TokenAction::List { registry } => {
            let client = context.client(registry)?;
            let tokens = context.block_on(async { Ok(client.tokens().await?) })?;
            let rows = tokens.iter().map(|token| {
                [
                    token.id.clone(),
                    token.name.clone(),
                    token.scopes.join(" "),
                    token.skills.clone().unwrap_or_default().join(" "),
                    day(token.expires_at),
                    day(token.last_used_at),
                ]
            });
            context.printer.table(
                ["id", "name", "scopes", "skills", "expires", "last used"],
                rows,
            );
            context
                .printer
                .document(&json!({ "tokens": tokens.iter().map(as_json).collect::<Vec<_>>() }));
            Ok(())
        }
        TokenAction::Revoke { id, registry } => {
            let client = context.client(registry)?;
            context.block_on(async { Ok(client.revoke_token(id).await?) })?;
            context.printer.done("Revoked", format!("token {id}"));
            context.printer.document(&json!({ "revoked": id }));
            Ok(())
        }
    }
}

fn as_json(token: &ApiToken) -> Value {
    json!({
        "id": token.id, "name": token.name, "scopes": token.scopes, "skills": token.skills,
        "createdAt": token.created_at, "expiresAt": token.expires_at, "lastUsedAt": token.last_used_at,
    })
}

fn day(time: Option<Timestamp>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}
