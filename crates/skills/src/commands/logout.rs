//! `skills logout`

use serde_json::json;

use crate::cli::account::LogoutArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &LogoutArgs, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let registry = config.registry(args.registry.registry.as_deref())?;
    let stored = config.credentials(&registry.url);
    let address = registry.url.to_string();
    let printer = &context.printer;
    match stored {
        Some(credentials) => {
            if credentials.is_session() {
                let client = context.client_as_signed_in(registry.clone())?;
                if let Err(failure) = context.block_on(async { Ok(client.logout().await?) }) {
                    // Forgetting the token is the part that must not fail; the registry ends it in time.
                    printer.warn(format!(
                        "the registry could not be told: {}",
                        failure.message
                    ));
                }
            }
            context.config_file().update(|config| {
                config.set_credentials(&registry.url, None);
                Ok(())
            })?;
            printer.done("Signed out", format!("of {address}"));
            if !credentials.is_session() {
                printer.note(
                    "the API token is forgotten here and still works elsewhere; \
                     `skills token revoke ID` ends it for good",
                );
            }
        }
        None => printer.note(format!("you are not signed in to {address}")),
    }
    printer.document(&json!({ "registry": address, "wasSignedIn": stored.is_some() }));
    Ok(())
}
