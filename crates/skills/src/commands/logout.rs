//! `skills logout`

use serde_json::json;

use crate::cli::account::LogoutArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &LogoutArgs, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let registry = config.registry(args.registry.registry.as_deref())?;
    let was_signed_in = config.credentials(&registry.url).is_some();
    if was_signed_in {
        let client = context.client(&args.registry)?;
        if let Err(failure) = context.block_on(async { Ok(client.logout().await?) }) {
            // Forgetting the token is the part that must not fail; the registry ends it in time.
            context.printer.warn(format!(
                "the registry could not be told: {}",
                failure.message
            ));
        }
        context.config_file().update(|config| {
            config.set_credentials(&registry.url, None);
            Ok(())
        })?;
        context
            .printer
            .done("Signed out", format!("of {}", registry.url));
    } else {
        context
            .printer
            .note(format!("you are not signed in to {}", registry.url));
    }
    context
        .printer
        .document(&json!({ "registry": registry.url.to_string(), "wasSignedIn": was_signed_in }));
    Ok(())
}
