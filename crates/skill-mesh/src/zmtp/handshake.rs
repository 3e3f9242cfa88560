//! How two sockets begin: a greeting of 64 bytes, then each says what kind of socket it is.

use bytes::BytesMut;

use super::frame::put_command;

/// What a socket is to its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes, and hears who subscribes to what.
    Publisher,
    /// Subscribes.
    Subscriber,
    /// The proxy's side of publishers.
    ForPublishers,
    /// The proxy's side of subscribers.
    ForSubscribers,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Publisher | Self::ForSubscribers => "XPUB",
            Self::Subscriber => "SUB",
            Self::ForPublishers => "XSUB",
        }
    }

    fn accepts(self, peer: &[u8]) -> bool {
        match self {
            Self::Publisher | Self::ForSubscribers => matches!(peer, b"SUB" | b"XSUB"),
            Self::Subscriber | Self::ForPublishers => matches!(peer, b"PUB" | b"XPUB"),
        }
    }
}

/// Why two sockets cannot speak to each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("it does not speak ZMTP: another protocol's port?")]
    Protocol,
    #[error("it speaks ZMTP {0}, and 3 is the oldest that is understood")]
    Version(u8),
    #[error("it wants the security mechanism {0:?}, and only NULL is spoken")]
    Mechanism(String),
    #[error(
        "it is a {theirs:?} socket, which does not go with {ours}: are the two addresses swapped?"
    )]
    Kind { ours: &'static str, theirs: String },
    #[error("it refuses: {0:?}")]
    Refused(String),
    #[error("it does not say what kind of socket it is")]
    Unsaid,
}

pub(crate) const GREETING_BYTES: usize = 64;

/// Version 3.0: with it libzmq subscribes by messages, which every version understands.
pub(crate) fn greeting() -> [u8; GREETING_BYTES] {
    let mut greeting = [0; GREETING_BYTES];
    greeting[..16].copy_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL");
    greeting
}

pub(crate) fn check_greeting(theirs: &[u8; GREETING_BYTES]) -> Result<(), Mismatch> {
    let [0xff, _, _, _, _, _, _, _, _, last, version, _, rest @ ..] = theirs else {
        return Err(Mismatch::Protocol);
    };
    if last & 1 == 0 {
        return Err(Mismatch::Protocol);
    }
    if *version < 3 {
        return Err(Mismatch::Version(*version));
    }
    let mechanism = rest.get(..20).unwrap_or_default();
    let name = mechanism
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    if name != b"NULL" {
        return Err(Mismatch::Mechanism(told(name)));
    }
    Ok(())
}

pub(crate) fn put_ready(out: &mut BytesMut, role: Role) {
    let mut metadata = b"\x0bSocket-Type\0\0\0".to_vec();
    // Four letters at most.
    metadata.push(u8::try_from(role.name().len()).unwrap_or_default());
    metadata.extend_from_slice(role.name().as_bytes());
    put_command(out, b"READY", &metadata);
}

/// Reads the first command of a peer.
pub(crate) fn check_ready(role: Role, name: &[u8], body: &[u8]) -> Result<(), Mismatch> {
    match name {
        b"READY" => {
            let theirs = socket_type(body).ok_or(Mismatch::Unsaid)?;
            if role.accepts(theirs) {
                return Ok(());
            }
            Err(Mismatch::Kind {
                ours: role.name(),
                theirs: told(theirs),
            })
        }
        b"ERROR" => Err(Mismatch::Refused(told(body.get(1..).unwrap_or_default()))),
        _ => Err(Mismatch::Unsaid),
    }
}

/// Properties are a name behind a byte of length, and a value behind four.
fn socket_type(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let (length, after) = after.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, after) = after.split_at_checked(length)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return Some(value);
        }
        rest = after;
    }
}

/// A stranger's bytes in an error.
fn told(bytes: &[u8]) -> String {
    const BYTES_TOLD: usize = 40;
    let bytes = bytes.get(..BYTES_TOLD).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zmtp::Item;
    use crate::zmtp::frame::Decoder;

    #[test]
    fn sockets_that_go_together_begin_and_others_say_why_not() {
        let begin = |ours: Role, theirs: Role| {
            check_greeting(&greeting()).unwrap();
            let mut out = BytesMut::new();
            put_ready(&mut out, theirs);
            let mut decoder = Decoder::new(1000);
            decoder.room(0).extend_from_slice(&out);
            let Ok(Some(Item::Command { name, body })) = decoder.next() else {
                panic!("no command: {out:?}");
            };
            check_ready(ours, name, body)
        };
        assert_eq!(begin(Role::ForPublishers, Role::Publisher), Ok(()));
        assert_eq!(begin(Role::ForSubscribers, Role::Subscriber), Ok(()));
        assert_eq!(begin(Role::Publisher, Role::ForPublishers), Ok(()));
        let error = begin(Role::ForSubscribers, Role::Publisher).unwrap_err();
        assert!(
            error.to_string().contains("are the two addresses swapped"),
            "{error}"
        );
    }

    #[test]
    fn other_protocols_and_mechanisms_are_named() {
        let refused = |change: &dyn Fn(&mut [u8; GREETING_BYTES])| {
            let mut theirs = greeting();
            change(&mut theirs);
            check_greeting(&theirs).unwrap_err()
        };
        assert_eq!(
            refused(&|theirs| theirs[..4].copy_from_slice(b"GET ")),
            Mismatch::Protocol
        );
        assert_eq!(refused(&|theirs| theirs[10] = 2), Mismatch::Version(2));
        let curve = refused(&|theirs| theirs[12..17].copy_from_slice(b"CURVE"));
        assert_eq!(curve, Mismatch::Mechanism("CURVE".into()));
        let error = check_ready(Role::Publisher, b"ERROR", b"\x07No way!").unwrap_err();
        assert_eq!(error, Mismatch::Refused("No way!".into()));
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_or_refused(name in "READY|ERROR|PING", body: Vec<u8>) {
            let _ = check_ready(Role::Publisher, name.as_bytes(), &body);
        }
    }
}
