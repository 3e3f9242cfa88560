//! What our own workers and our own proxy say to each other beside SkillScale's protocol. Its programs
//! never see any of it: all these topics begin with a zero byte, and nobody of theirs subscribes to one.
//!
//! - The proxy subscribes to [`PROXY`] at every publisher, so that agents and workers know that requests
//!   are shared and duplicates known.
//! - A worker subscribes to its [`announcement`], which says how many slots it has.
//! - A worker publishes [`DRAIN`] with its id; the proxy then sends [`DRAINED`] on the announcement, after
//!   the last request, and after it has read all that the worker had published before.
//! - A worker publishes [`HAND_BACK`] with its id and a request's key.

use crate::queue::Key;

/// First byte of every topic here.
pub(crate) const MARK: u8 = 0;
pub(crate) const PROXY: &[u8] = b"\0skills-proxy\x001";
pub(crate) const DRAIN: &[u8] = b"\0skills-drain";
pub(crate) const HAND_BACK: &[u8] = b"\0skills-hand-back";
pub(crate) const DRAINED: &[u8] = b"drained";
const WORKER: &[u8] = b"\0skills-worker\0";

/// What a worker subscribes to. The id must be unique among the workers of a proxy.
pub(crate) fn announcement(id: &str, slots: usize) -> Vec<u8> {
    let mut topic = WORKER.to_vec();
    topic.extend_from_slice(format!("{id}\0{slots}").as_bytes());
    topic
}

/// A worker's id and slots.
pub(crate) fn parse_announcement(topic: &[u8]) -> Option<(&str, usize)> {
    let text = std::str::from_utf8(topic.strip_prefix(WORKER)?).ok()?;
    let (id, slots) = text.split_once('\0')?;
    Some((id, slots.parse().ok()?))
}

pub(crate) fn hand_back(id: &str, key: &Key) -> Vec<u8> {
    format!("{id}\0{}\0{}", key.reply_to(), key.request_id()).into_bytes()
}

/// A worker's id and a request.
pub(crate) fn parse_hand_back(payload: &[u8]) -> Option<(&str, Key)> {
    let text = std::str::from_utf8(payload).ok()?;
    let (id, rest) = text.split_once('\0')?;
    let (reply_to, request_id) = rest.split_once('\0')?;
    Some((id, Key::new(reply_to, request_id)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_worker_says_is_read_as_it_was_said(
            id in "[0-9a-f]{1,32}", slots: usize, to in "[^\0]{1,20}", request: String,
        ) {
            let announced = announcement(&id, slots);
            prop_assert_eq!(parse_announcement(&announced), Some((id.as_str(), slots)));
            let key = Key::new(&to, &request);
            let back = hand_back(&id, &key);
            prop_assert_eq!(parse_hand_back(&back), Some((id.as_str(), key)));
        }

        #[test]
        fn any_bytes_are_read_or_passed_over(bytes: Vec<u8>) {
            let _ = parse_announcement(&[WORKER, &bytes].concat());
            let _ = parse_hand_back(&bytes);
        }
    }
}
