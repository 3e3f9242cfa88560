//! What a topic, a request and their parts are called on a NATS server. Topics may hold any text but a
//! zero byte; subjects and streams may not, so what does not fit is written as `=` and two hexadecimal digits, and
//! nothing else: `TOPIC_DATA_PROCESSING` and `team.reports` stay themselves, and no two topics share a name.
//! (A percent sign would not do: the server uses streams' names as format strings.)

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::queue::Key;

/// Keeps answers, by reply topic and request id.
pub(super) const REPLIES: &str = "skills-replies";
/// Keeps requests that were given up.
pub(super) const DEAD_LETTERS: &str = "skills-dead-letters";
/// The durable consumer of every topic's stream, shared by the topic's workers.
pub(super) const CONSUMER: &str = "workers";
/// Where a connection asks what the time is on the server.
pub(super) const CLOCK: &str = "SKILLS_MESH.CLOCK";
pub(super) const ALL_REPLIES: &str = "SKILLS_MESH.REPLY.*.*";
pub(super) const ALL_DEAD_LETTERS: &str = "SKILLS_MESH.DLQ.>";
const ESCAPE: char = '=';
const TOPIC_STREAMS: &str = "skills-topic-";
/// The first token of all subjects that are no topic's.
const OURS: &str = "SKILLS_MESH";
/// Streams are folders on the server, whose names have 255 bytes at most.
const STREAM_NAME_MAX: usize = 200;

/// The subject of a topic or reply topic.
pub(super) fn subject(topic: &str) -> String {
    let mut subject = encoded(topic, |at, byte| {
        let bytes = topic.as_bytes();
        // Between two tokens that are not empty.
        let dot = byte == b'.' && at > 0 && bytes.get(at + 1).is_some_and(|next| *next != b'.');
        (dot && bytes[at - 1] != b'.') || (byte != b'.' && is_plain(byte))
    });
    let first = subject.split('.').next().unwrap_or_default();
    // The server's own, clients' inboxes, and ours.
    if first == OURS || first == "_INBOX" {
        let letter = format!("{ESCAPE}{:02X}", subject.as_bytes()[0]);
        subject.replace_range(..1, &letter);
    }
    subject
}

/// The topic of a subject that [`subject`] made.
pub(super) fn topic(subject: &str) -> String {
    decoded(subject, ESCAPE)
}

/// A text in which two hexadecimal digits behind the escaping character stand for a byte.
pub(super) fn decoded(text: &str, escape: char) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match code {
            Some(code) if char::from(*first) == escape => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The stream of a topic.
pub(super) fn stream(topic: &str) -> String {
    let name = token(topic);
    if name.len() <= STREAM_NAME_MAX {
        return format!("{TOPIC_STREAMS}{name}");
    }
    let mut hash = String::new();
    for byte in &Sha256::digest(topic.as_bytes())[..16] {
        let _ = write!(hash, "{byte:02x}");
    }
    // A tilde is encoded in every other name.
    format!("{TOPIC_STREAMS}{}~{hash}", &name[..STREAM_NAME_MAX - 40])
}

/// Whether a stream is a topic's.
pub(super) fn is_topic_stream(name: &str) -> bool {
    name.starts_with(TOPIC_STREAMS)
}

/// Where the answer to a request is kept.
pub(super) fn reply(key: &Key) -> String {
    format!("{OURS}.REPLY.{}", request(key))
}

/// A request's id among all agents', for `Nats-Msg-Id`.
pub(super) fn request(key: &Key) -> String {
    format!("{}.{}", token(key.reply_to()), token(key.request_id()))
}

/// Where a topic's requests go that were given up.
pub(super) fn dead_letter(topic: &str) -> String {
    format!("{OURS}.DLQ.{}", subject(topic))
}

/// One token; an empty text is the escaping character with nothing behind it.
fn token(text: &str) -> String {
    if text.is_empty() {
        return ESCAPE.to_string();
    }
    encoded(text, |_, byte| byte != b'.' && is_plain(byte))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn encoded(text: &str, is_kept: impl Fn(usize, u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        if is_kept(at, byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "{ESCAPE}{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_topics_stay_themselves() {
        for plain in ["TOPIC_DATA_PROCESSING", "AGENT_REPLY_9f8e7d6c", "a.b-c.D"] {
            assert_eq!(subject(plain), plain);
        }
        assert_eq!(stream("TOPIC_X"), "skills-topic-TOPIC_X");
        assert_eq!(stream("a.b"), "skills-topic-a=2Eb");
    }

    #[test]
    fn what_no_subject_may_be_is_encoded() {
        for (topic, expected) in [
            (".a..b.", "=2Ea=2E=2Eb=2E"),
            ("a b*>", "a=20b=2A=3E"),
            ("$JS.API.STREAM.DELETE.x", "=24JS.API.STREAM.DELETE.x"),
            ("_INBOX.x", "=5FINBOX.x"),
            ("SKILLS_MESH.REPLY.a.b", "=53KILLS_MESH.REPLY.a.b"),
            ("ä", "=C3=A4"),
            ("a=b", "a=3Db"),
        ] {
            assert_eq!(subject(topic), expected);
        }
    }

    proptest! {
        #[test]
        fn names_are_valid_and_nobody_elses(text in "[^\0]{1,80}", dots in "[a.=$*> ]{1,12}") {
            for topic_name in [text, dots] {
                let subject = subject(&topic_name);
                prop_assert!(subject.split('.').all(|token| !token.is_empty()));
                prop_assert!(!subject.contains([' ', '*', '>', '\r', '\n', '\t', '$', '%']));
                prop_assert_eq!(topic(&subject), topic_name.clone());
                let stream = stream(&topic_name);
                prop_assert!(stream.len() <= 255 && is_topic_stream(&stream));
                prop_assert!(!stream.contains(['.', ' ', '*', '>', '/', '\\', '%']));
            }
        }

        #[test]
        fn two_topics_have_two_streams(a in "[ab=~é]{60,120}", b in "[ab=~é]{60,120}") {
            prop_assert_eq!(a == b, stream(&a) == stream(&b));
        }

        #[test]
        fn two_requests_have_two_replies(a in "[a.]{1,4}", b in "[a.]{0,4}", c in "[a.]{1,4}", d in "[a.]{0,4}") {
            let (one, other) = (Key::new(&a, &b), Key::new(&c, &d));
            prop_assert_eq!(one == other, reply(&one) == reply(&other));
            prop_assert_eq!(reply(&one).split('.').count(), 4);
        }
    }
}
