//! `skills whoami`

use crate::cli::account::WhoamiArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &WhoamiArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client(&args.registry)?;
    let me = context.block_on(async { Ok(client.me().await?) })?;
    context.printer.line(&me.username);
    context.printer.detail(format!(
        "role {}, scopes {}, at {}",
        me.role,
        me.scopes.join(" "),
        client.registry().url
    ));
    context.printer.document(&serde_json::json!({
        "username": me.username, "role": me.role, "scopes": me.scopes, "tenant": me.tenant, "via": me.via,
        "registry": client.registry().url.to_string(),
    }));
    Ok(())
}
