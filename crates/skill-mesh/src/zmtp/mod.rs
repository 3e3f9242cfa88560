//! ZMTP 3.0 over TCP (ZeroMQ's RFC 23), as far as publishing and subscribing need it: no security, four
//! kinds of sockets, and the signs of life of ZMTP 3.1 (RFC 37). Peers are libzmq, of SkillScale's programs,
//! and ourselves.
//!
//! It is written here because libzmq hands every message to a thread of its own on each side of a program,
//! and a call passes six sides: sixteen threads woken one after the other were most of a short call's time.
//! It also lets the proxy speak to one subscriber alone, which libzmq's sockets do not.

mod connection;
mod endpoint;
mod frame;
mod handshake;

pub(crate) use connection::{Connection, Heart, Outgoing, answer};
pub(crate) use endpoint::Endpoint;
pub use frame::{Decoder, Item, Malformed};
pub(crate) use frame::{put_message, put_single};
pub(crate) use handshake::Role;

/// A subscription (`true`) or its end, and the prefix of topics that it is about; none where the item is
/// something else. ZMTP 3.0 has messages for it, ZMTP 3.1 commands.
pub(crate) fn wish<'a>(item: &Item<'a>) -> Option<(bool, &'a [u8])> {
    match item {
        Item::Message {
            topic, frames: 1, ..
        } => match topic.split_first()? {
            (1, prefix) => Some((true, prefix)),
            (0, prefix) => Some((false, prefix)),
            _ => None,
        },
        Item::Command {
            name: b"SUBSCRIBE",
            body,
        } => Some((true, body)),
        Item::Command {
            name: b"CANCEL",
            body,
        } => Some((false, body)),
        _ => None,
    }
}

/// Writes a subscription, or its end.
pub(crate) fn put_wish(out: &mut bytes::BytesMut, on: bool, prefix: &[u8]) {
    put_single(out, &[&[u8::from(on)], prefix]);
}

/// Bytes of a message that are read: above a payload's bound, so that whoever is only a little too large
/// gets an error reply instead of a closed connection.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2 * crate::protocol::PAYLOAD_BYTES_MAX;
