//! Puts servers together: flags over file over defaults, logging, listener, signals. The only place
//! that knows both the command line and the hub.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub::invoke::Invoker;
use hub::{App, HubConfig, LogFormat};
use hub_model::SystemClock;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::context::Context;
use crate::failure::{Failure, io_failure};

/// The configuration file that is read where none is named.
const CONFIG_FILE: &str = "hub.toml";

/// What flags and environment say about the hub; each outranks the file.
#[derive(Debug, Default)]
pub struct Overrides {
    pub bind: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub database: Option<String>,
    pub data: Option<PathBuf>,
}

/// Reads the configuration and puts the overrides over it.
pub fn configuration(
    file: Option<&Path>,
    overrides: Overrides,
    context: &Context,
) -> Result<HubConfig, Failure> {
    let mut config = match file {
        Some(file) => read(&context.resolve(file))?,
        None => {
            let default = context.resolve(CONFIG_FILE);
            if default.exists() {
                read(&default)?
            } else {
                HubConfig::default()
            }
        }
    };
    if let Some(bind) = overrides.bind {
        config.bind = bind;
    }
    if let Some(url) = overrides.public_url {
        config.public_url = Some(public_url(&url)?);
        config.check().map_err(|error| {
            Failure::bad_input("public-url", error.to_string()).with_help(PUBLIC_URL_HELP)
        })?;
    }
    if let Some(url) = overrides.database {
        config.database.url = Some(hub::auth::Secret::new(url));
    }
    if let Some(data) = overrides.data {
        config.data_folder = data;
    }
    config.data_folder = context.resolve(&config.data_folder);
    Ok(config)
}

const PUBLIC_URL_HELP: &str =
    "write what clients type, as in --public-url https://skills.example.org";

fn public_url(text: &str) -> Result<url::Url, Failure> {
    url::Url::parse(text).map_err(|error| {
        Failure::bad_input("public-url", format!("`{text}` is no address: {error}"))
            .with_help(PUBLIC_URL_HELP)
    })
}

fn read(path: &Path) -> Result<HubConfig, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| io_failure(path, "read", &error))?;
    HubConfig::from_toml(&text).map_err(|error| {
        Failure::bad_input("hub-config", error.to_string())
            .at_file(path)
            .with_help("docs/operations.md explains every setting")
    })
}

/// Log lines go to standard error as the configuration says; `RUST_LOG` outranks it.
pub fn start_logging(config: &HubConfig, context: &Context) -> Result<(), Failure> {
    let is_json = config.log.format == LogFormat::Json;
    log_to_stderr(&config.log.filter, is_json, context)
}

/// The same for what has no configuration file: text, or JSON with `--json`.
pub fn start_service_logging(context: &Context) -> Result<(), Failure> {
    let level = match (context.global.quiet, context.global.verbose) {
        (true, _) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    log_to_stderr(level, context.printer.is_json(), context)
}

fn log_to_stderr(filter: &str, is_json: bool, context: &Context) -> Result<(), Failure> {
    let filter = context.env("RUST_LOG").unwrap_or_else(|| filter.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::bad_input(
            "log-filter",
            format!("the log filter `{filter}` is not valid: {error}"),
        )
        .with_help("write a level, such as `info`, or targets, such as `hub=debug,info`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let outcome = if is_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder
            .with_ansi(context.printer.colors_on_stderr())
            .try_init()
    };
    outcome
        .map_err(|error| Failure::failed("logging", format!("logging cannot be started: {error}")))
}

/// Runs a server's work on all processors.
pub fn run_server<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::failed(
                "no-runtime",
                format!("cannot start the I/O runtime: {error}"),
            )
        })?
        .block_on(work)
}

/// A hub with its listener, ready to be served. The listener comes first: a second hub on the same
/// address fails before it touches the data.
///
/// `invoker` runs skills for its callers, if anything does.
pub async fn open_hub(
    mut config: HubConfig,
    invoker: Option<Arc<dyn Invoker>>,
) -> Result<(App, TcpListener), Failure> {
    let wanted = config.bind;
    let listener = TcpListener::bind(wanted).await.map_err(|error| {
        let failure = Failure::failed("bind", format!("cannot listen on {wanted}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure.with_help(
                "another program (perhaps another hub) uses it; choose another with --bind",
            ),
            _ => failure.with_help("choose another address with --bind"),
        }
    })?;
    // Port 0 means any free one: links in answers must name the real one.
    config.bind = listener.local_addr().unwrap_or(wanted);
    if config.is_public_address_guessed() {
        tracing::warn!(
            links = %config.public_base(),
            "listening on every address without a public URL: links in answers lead to this machine \
             only; say what clients use with serve --public-url, SKILLS_PUBLIC_URL or public_url in \
             hub.toml"
        );
    }
    let app = App::with_invoker(config, Arc::new(SystemClock), invoker)
        .await
        .map_err(start_failure)?;
    Ok((app, listener))
}

fn start_failure(error: hub::StartError) -> Failure {
    let help = match &error {
        hub::StartError::Config(_) => "docs/operations.md explains every setting",
        hub::StartError::DataFolder { .. } => {
            "choose another folder with --data, or mend its permissions"
        }
        hub::StartError::Database(_) | hub::StartError::Migration(_) => {
            "check the database's address and that it runs; `skills db status` shows its schema"
        }
        hub::StartError::Blobs(_) => "check the [blobs] section of the configuration",
        _ => "check the configuration; the log above may say more",
    };
    let mut failure = Failure::failed("hub-start", error.to_string()).with_help(help);
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        failure.add_cause(cause.to_string());
        source = cause.source();
    }
    failure
}

/// Completes at the first SIGTERM, SIGINT or Ctrl-C; the next one ends the process at once, as a shell tells it
/// (130 for Ctrl-C). What runs then is handed to others as by a process that was killed. The signals are
/// caught from the call on, not from the first poll: one that comes in between is not lost. Must be called
/// within a runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> {
    let mut signals = Signals::catch();
    async move {
        signals.next().await;
        tokio::spawn(async move {
            let number = signals.next().await;
            tracing::warn!("told to stop once more: ending at once");
            std::process::exit(128 + number);
        });
    }
}

/// Those that say to stop.
struct Signals([(Option<Signal>, SignalKind); 2]);

impl Signals {
    fn catch() -> Self {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Self(kinds.map(|kind| {
            let stream = signal(kind).inspect_err(|error| {
                // Without a handler the signal ends the process by itself.
                tracing::warn!(%error, "cannot listen for a signal");
            });
            (stream.ok(), kind)
        }))
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            () = received(&mut terminate.0) => terminate.1.as_raw_value(),
            () = received(&mut interrupt.0) => interrupt.1.as_raw_value(),
        }
    }
}

async fn received(stream: &mut Option<Signal>) {
    let came = match stream {
        Some(stream) => stream.recv().await.is_some(),
        None => false,
    };
    if !came {
        std::future::pending::<()>().await;
    }
}
