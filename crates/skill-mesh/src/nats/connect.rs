//! Comes to a connection, or says why there is none. Addresses are shown without user and password.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, Event, ServerAddr};
use skill_format::{Explain, Fault};
use tokio::sync::watch;

use super::link::{Health, Link};
use super::streams::NO_ROOM;
use super::{Nats, Options, Settings, names};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address.
    #[error("{address:?} is no address of a NATS server: {why}")]
    Address {
        /// Without user and password.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// Not a topic.
    #[error("{topic:?} is no topic: it must have 1 to 255 bytes and no zero byte")]
    Topic {
        /// As it was given.
        topic: String,
    },
    /// A file with credentials or certificates cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system, or the file's reader, says.
        source: std::io::Error,
    },
    /// No connection in time.
    #[error("no connection to NATS at {address} within {} ms: {why}", waited.as_millis())]
    Away {
        /// Without user and password.
        address: String,
        /// How long.
        waited: Duration,
        /// The last that was heard.
        why: String,
    },
    /// The server refuses us.
    #[error("the NATS server at {address} refuses the connection: {why}")]
    Refused {
        /// Without user and password.
        address: String,
        /// What it said.
        why: String,
    },
    /// Connected, and no storage is left there.
    #[error("the NATS server at {address} has no storage left: {why}")]
    NoRoom {
        /// Without user and password.
        address: String,
        /// What it said.
        why: String,
    },
    /// Connected, but nothing stores messages there.
    #[error("the NATS server at {address} gives no JetStream: {why}")]
    NoJetStream {
        /// Without user and password.
        address: String,
        /// What it said.
        why: String,
    },
}

impl Explain for ConnectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "mesh-bad-endpoint",
            Self::Topic { .. } => "mesh-bad-topic",
            Self::File { .. } => "mesh-nats-file",
            Self::Away { .. } => "mesh-nats-away",
            Self::Refused { .. } => "mesh-nats-refused",
            Self::NoRoom { .. } => "mesh-nats-full",
            Self::NoJetStream { .. } => "mesh-no-jetstream",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Address { .. } | Self::Topic { .. } | Self::File { .. } => Fault::BadInput,
            Self::Refused { .. } => Fault::Denied,
            Self::Away { .. } | Self::NoRoom { .. } | Self::NoJetStream { .. } => {
                Fault::Unavailable
            }
        }
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::Address { .. } => "give an address such as nats://127.0.0.1:4222",
                Self::Topic { .. } => "give a topic such as TOPIC_DATA_PROCESSING",
                Self::File { .. } => {
                    "look whether the file is there, readable, and what it should be"
                }
                Self::Away { .. } => {
                    "look whether the server runs there and its port can be reached"
                }
                Self::Refused { .. } => {
                    "look at user and password, token, credentials file or certificates"
                }
                Self::NoRoom { .. } => {
                    "remove streams that nobody needs (`nats stream report` shows what each reserves), or raise max_file_store or the account's limit"
                }
                Self::NoJetStream { .. } => {
                    "start nats-server with -js, and allow JetStream for the account"
                }
            }
            .into(),
        )
    }
}

/// Begins to connect. That the server is not there (yet) is no error, see [`Nats::ready`]. Must be called
/// within a tokio runtime.
///
/// # Errors
/// [`ConnectError::Address`] and [`ConnectError::File`].
pub async fn connect(options: &Options, settings: Settings) -> Result<Nats, ConnectError> {
    let (addresses, shown) = addresses(&options.url)?;
    let (health, connects) = (Arc::new(Health::default()), watch::Sender::new(0_u64));
    let seen = connects.subscribe();
    let events = {
        let health = health.clone();
        move |event: Event| {
            match &event {
                Event::Connected => {
                    health.set(None);
                    connects.send_modify(|times| *times += 1);
                }
                Event::ServerError(_) | Event::ClientError(_) => {
                    health.set(Some(event.to_string()))
                }
                Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
                Event::SlowConsumer(_) => tracing::warn!("messages came too fast from NATS"),
                _ => {}
            }
            std::future::ready(())
        }
    };
    let client = with_identity(options, &addresses)
        .await?
        .name("skills")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 << attempts.min(5)).min(Duration::from_secs(1))
        })
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(5))
        .event_callback(events)
        .connect(addresses)
        .await
        .map_err(|error| ConnectError::Refused {
            address: shown.clone(),
            why: error.to_string(),
        })?;
    Ok(Nats(Link::new(client, settings, shown, health, seen)))
}

async fn with_identity(
    options: &Options,
    addresses: &[ServerAddr],
) -> Result<ConnectOptions, ConnectError> {
    let mut connection = ConnectOptions::new();
    // The client passes over what stands in an address.
    let names = addresses.iter().find_map(|address| {
        let (user, password) = (address.username()?, address.password());
        let decoded = |text| names::decoded(text, '%');
        Some((decoded(user), password.map(decoded)))
    });
    match names {
        Some((user, Some(password))) => connection = connection.user_and_password(user, password),
        Some((token, None)) => connection = connection.token(token),
        None => {}
    }
    if let Some(token) = &options.token {
        connection = connection.token(token.clone());
    }
    if let Some(path) = &options.credentials {
        let failed = |source| file(path, source);
        connection = connection.credentials_file(path).await.map_err(failed)?;
    }
    let pair = options.identity.iter().flat_map(|(cert, key)| [cert, key]);
    for path in options.ca.iter().chain(pair) {
        // Else it is first read at the first connection, whose failures are tried again for ever.
        let read = tokio::fs::read(path).await;
        read.map_err(|source| file(path, source))?;
    }
    if let Some(ca) = &options.ca {
        connection = connection.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &options.identity {
        connection = connection.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(connection)
}

fn file(path: &Path, source: std::io::Error) -> ConnectError {
    ConnectError::File {
        path: path.to_owned(),
        source,
    }
}

/// The servers, and how they may be shown.
fn addresses(urls: &str) -> Result<(Vec<ServerAddr>, String), ConnectError> {
    let (mut addresses, mut shown) = (Vec::new(), Vec::new());
    for url in urls.split(',').map(str::trim) {
        let open = if url.contains("://") {
            url.to_owned()
        } else {
            format!("nats://{url}")
        };
        // What stands before the at sign is nobody's business.
        let (scheme, rest) = open.split_once("://").unwrap_or(("nats", url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let address = format!("{scheme}://{host}");
        let wrong = |why: String| ConnectError::Address {
            address: address.clone(),
            why,
        };
        if !matches!(scheme, "nats" | "tls") {
            return Err(wrong(format!("{scheme:?} is neither nats nor tls")));
        }
        let parsed: url::Url = open
            .parse()
            .map_err(|error: url::ParseError| wrong(error.to_string()))?;
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it names no host".into()));
        }
        let server = ServerAddr::from_url(parsed).map_err(|error| wrong(error.to_string()))?;
        addresses.push(server);
        shown.push(address);
    }
    Ok((addresses, shown.join(", ")))
}

pub(super) async fn ready(link: &Link, limit: Duration) -> Result<(), ConnectError> {
    let address = link.address().to_owned();
    let asked = async {
        loop {
            link.connected().await;
            // What the first request needs anyway, and what no server without JetStream makes.
            match link.replies_stream().await {
                Ok(()) => return,
                Err(why) => link.health().set(Some(why)),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(limit, asked).await.is_ok() {
        return Ok(());
    }
    let heard = link.health().get();
    let why = heard.unwrap_or_else(|| "nothing was heard from it".into());
    Err(if why.contains(NO_ROOM) {
        ConnectError::NoRoom { address, why }
    } else if link.is_connected() {
        ConnectError::NoJetStream { address, why }
    } else if why.contains("authorization") || why.contains("authentication") {
        ConnectError::Refused { address, why }
    } else {
        ConnectError::Away {
            address,
            waited: limit,
            why,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let (servers, shown) =
            addresses("nats://me:secret@a:1,tls://token@b,c:4222").expect("three");
        assert_eq!(servers.len(), 3);
        assert_eq!(shown, "nats://a:1, tls://b, nats://c:4222");
        for wrong in [
            "ws://me:secret@a",
            "nats://me:secret@",
            "nats://me:secret@a:port",
        ] {
            let error = addresses(wrong).expect_err("refused");
            assert_eq!(error.code(), "mesh-bad-endpoint");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
