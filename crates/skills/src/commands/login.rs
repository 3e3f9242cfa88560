//! `skills login`: by password, by API token, or through a browser on any device.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use serde_json::json;
use skill_client::api::{AuthConfig, Client, DeviceState, Tokens};
use skill_client::{Clock, Credentials, Secret, SystemClock};

use crate::cli::account::LoginArgs;
use crate::context::Context;
use crate::failure::Failure;

/// How often to ask for the outcome of a browser sign-in where the registry names no interval
/// (RFC 8628 §3.2).
const POLL_SECONDS: u64 = 5;

pub fn run(args: &LoginArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client(&args.registry)?;
    let credentials = context.block_on(async {
        if args.token_stdin {
            return token_from_stdin();
        }
        let offer = client.auth_config().await?;
        match &args.username {
            Some(username) => by_password(args, username, &client, context).await,
            None if args.device || !context.may_ask() => by_browser(&client, context).await,
            None => ask_how(args, &offer, &client, context).await,
        }
    })?;
    let registry = client.registry().clone();
    context.config_file().update(|config| {
        config.set_credentials(&registry.url, Some(credentials));
        Ok(())
    })?;
    // With what was just stored, as every later command will.
    let me = context.block_on(async { Ok(context.client(&args.registry)?.me().await?) })?;
    context.printer.done(
        "Signed in",
        format!("to {} as {} ({})", registry.url, me.username, me.role),
    );
    context.printer.document(&json!({
        "registry": registry.url.to_string(), "username": me.username, "role": me.role, "scopes": me.scopes,
    }));
    Ok(())
}

fn token_from_stdin() -> Result<Credentials, Failure> {
    let token = first_line_of_stdin("an API token")?;
    Ok(Credentials {
        username: None,
        token,
        refresh_token: None,
        expires_at: None,
    })
}

async fn by_password(
    args: &LoginArgs,
    username: &str,
    client: &Client,
    context: &Context,
) -> Result<Credentials, Failure> {
    let password = match args.password_stdin {
        true => first_line_of_stdin("the password")?,
        false => ask_password(context, args.register)?,
    };
    if args.register {
        client.register(username, &password, None).await?;
    }
    let tokens = client.login(username, &password).await?;
    Ok(stored(tokens, Some(username.to_owned())))
}

/// On a terminal without flags: whatever the registry offers, the browser first.
async fn ask_how(
    args: &LoginArgs,
    offer: &AuthConfig,
    client: &Client,
    context: &Context,
) -> Result<Credentials, Failure> {
    let browser = match &offer.oidc {
        Some(provider) => format!("in a browser ({})", provider.name),
        None => "in a browser".to_owned(),
    };
    let choices = vec![browser, "with a name and a password".to_owned()];
    let choice = inquire::Select::new("Sign in", choices)
        .raw_prompt()
        .map_err(cancelled)?;
    if choice.index == 0 {
        return by_browser(client, context).await;
    }
    let username = inquire::Text::new("User name")
        .prompt()
        .map_err(cancelled)?;
    by_password(args, username.trim(), client, context).await
}

/// Device authorization (RFC 8628): the person confirms a code in a browser, here or elsewhere.
async fn by_browser(client: &Client, context: &Context) -> Result<Credentials, Failure> {
    let code = client.device_code("skills command line").await?;
    let address = code
        .verification_uri_complete
        .as_ref()
        .unwrap_or(&code.verification_uri);
    context.printer.note(format!(
        "open {address} in a browser and confirm the code {}",
        code.user_code
    ));
    let waiting = context.printer.spinner("waiting for the browser");
    let mut interval = Duration::from_secs(code.interval.unwrap_or(POLL_SECONDS));
    let clock = SystemClock;
    let end = clock.now()
        + jiff::SignedDuration::from_secs(
            i64::try_from(code.expires_in).unwrap_or(i64::MAX / 1000),
        );
    while clock.now() < end {
        tokio::time::sleep(interval).await;
        match client.device_state(&code).await? {
            DeviceState::Granted(tokens) => {
                waiting.finish_and_clear();
                return Ok(stored(tokens, None));
            }
            DeviceState::Pending => {}
            DeviceState::SlowDown => interval += Duration::from_secs(POLL_SECONDS),
        }
    }
    Err(
        Failure::failed("device-code-expired", "the code was not confirmed in time")
            .with_help("run `skills login` again"),
    )
}

fn stored(tokens: Tokens, username: Option<String>) -> Credentials {
    tokens.into_credentials(username, SystemClock.now())
}

fn ask_password(context: &Context, is_new: bool) -> Result<Secret, Failure> {
    if !context.may_ask() {
        return Err(Failure::bad_input(
            "password-missing",
            "there is no terminal to ask for the password on",
        )
        .with_help("pass it with --password-stdin"));
    }
    let mut prompt =
        inquire::Password::new("Password").with_display_mode(inquire::PasswordDisplayMode::Masked);
    prompt.enable_confirmation = is_new;
    prompt.prompt().map(Secret::new).map_err(cancelled)
}

fn first_line_of_stdin(what: &str) -> Result<Secret, Failure> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::bad_input(
            "stdin-is-a-terminal",
            format!("{what} is read from standard input, which is a terminal"),
        )
        .with_help("pipe it in, for example from a file"));
    }
    // A megabyte is no secret: bounded, so that a wrong pipe does not fill the memory.
    let mut text = String::new();
    stdin
        .by_ref()
        .take(1 << 20)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::bad_input("stdin", format!("standard input cannot be read: {error}"))
        })?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(Failure::bad_input(
            "stdin-empty",
            format!("standard input holds no line with {what}"),
        )),
    }
}

pub fn cancelled(error: inquire::InquireError) -> Failure {
    Failure::failed("cancelled", format!("nothing was changed: {error}"))
}
