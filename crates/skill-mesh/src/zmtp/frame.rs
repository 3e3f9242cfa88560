//! Frames: a byte of flags, a length, a body. Reads and writes memory only.

use std::ops::Range;

use bytes::{Buf, BufMut, BytesMut};

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// A message's or a command's place in what came. Parts of a message beyond the second are not named, but
/// are in `raw`.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// All frames of one message.
    Message {
        /// The first frame.
        topic: &'a [u8],
        /// The second; empty where there is none.
        payload: &'a [u8],
        /// How many there are.
        frames: usize,
        /// All of them as they came.
        raw: &'a [u8],
    },
    /// A message of two frames that is too large, without its end, which is passed over.
    Overlong {
        /// The first frame.
        topic: &'a [u8],
        /// How the second begins.
        beginning: &'a [u8],
        /// How many bytes it has.
        bytes: u64,
    },
    /// What two sockets say to each other.
    Command {
        /// Such as `PING`.
        name: &'a [u8],
        /// What belongs to it.
        body: &'a [u8],
    },
}

/// Why a peer's bytes are no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Flags that ZMTP does not have, or not together.
    #[error("a frame has the flags {0:#04x}, which ZMTP does not have")]
    Flags(u8),
    /// Above the bound.
    #[error("a message has more than {0} bytes")]
    TooLarge(usize),
    /// A command whose name is longer than itself.
    #[error("a command has no name")]
    Command,
}

/// Finds messages and commands in a stream of bytes, however it is cut.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    bytes_max: usize,
    /// Bytes at the front that were given out.
    given: usize,
    /// Up to where frames have been found.
    scanned: usize,
    parts: [Range<usize>; 2],
    frames: usize,
    /// Bytes that are to come and are nobody's.
    skip: u64,
}

/// What is kept of a message that is too large: enough to find whom to tell.
const BEGINNING_BYTES: u64 = 64 * 1024;
/// What an idle connection may keep of memory.
const IDLE_BYTES: usize = 256 * 1024;

impl Decoder {
    /// A message, or a command, may have this many bytes with everything around it.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            bytes_max,
            given: 0,
            scanned: 0,
            parts: [0..0, 0..0],
            frames: 0,
            skip: 0,
        }
    }

    /// Where what comes is to be put, behind what is there: room for that many bytes.
    pub fn room(&mut self, bytes: usize) -> &mut BytesMut {
        self.forget_given();
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(bytes);
        &mut self.buffer
    }

    /// Bytes that came and were not given out.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.given
    }

    /// The next message or command that is there as a whole.
    ///
    /// # Errors
    /// Where the bytes are no frames; nothing sensible follows then.
    // No iterator: what is given out lies in the buffer until the next call.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Malformed> {
        self.forget_given();
        loop {
            let Some((flags, start, size)) = self.head()? else {
                return Ok(None);
            };
            let end = usize::try_from(size).ok();
            let end = end.and_then(|size| start.checked_add(size));
            let Some(end) = end.filter(|end| *end <= self.bytes_max) else {
                return self.overlong(flags, start, size);
            };
            if end > self.buffer.len() {
                return Ok(None);
            }
            let body = start..end;
            if flags & COMMAND != 0 {
                if self.frames == 0 {
                    self.given = body.end;
                    self.scanned = body.end;
                    return command(self.buffer.get(body).unwrap_or_default()).map(Some);
                }
                // Libzmq may ask for a sign of life between the frames of a message. It asks again.
                self.cut_out(self.scanned..body.end);
                continue;
            }
            self.scanned = body.end;
            if let Some(part) = self.parts.get_mut(self.frames) {
                *part = body;
            }
            self.frames += 1;
            if flags & MORE == 0 {
                return Ok(Some(self.message()));
            }
        }
    }

    fn message(&mut self) -> Item<'_> {
        let frames = std::mem::take(&mut self.frames);
        self.given = self.scanned;
        let part = |index: usize| match self.parts.get(index) {
            Some(part) if index < frames => self.buffer.get(part.clone()).unwrap_or_default(),
            _ => &[],
        };
        Item::Message {
            topic: part(0),
            payload: part(1),
            frames,
            raw: self.buffer.get(..self.scanned).unwrap_or_default(),
        }
    }

    /// Gives out the beginning of a message's second frame, if that is its last; nothing else may be so large.
    fn overlong(
        &mut self,
        flags: u8,
        start: usize,
        size: u64,
    ) -> Result<Option<Item<'_>>, Malformed> {
        if flags & (MORE | COMMAND) != 0 || self.frames != 1 {
            return Err(Malformed::TooLarge(self.bytes_max));
        }
        let kept = size.min(BEGINNING_BYTES);
        let end = start + usize::try_from(kept).unwrap_or_default();
        if end > self.buffer.len() {
            return Ok(None);
        }
        self.frames = 0;
        self.given = end;
        self.scanned = end;
        self.skip = size - kept;
        let [topic, _] = &self.parts;
        Ok(Some(Item::Overlong {
            topic: self.buffer.get(topic.clone()).unwrap_or_default(),
            beginning: self.buffer.get(start..end).unwrap_or_default(),
            bytes: size,
        }))
    }

    /// Of the frame behind those that were found: its flags, where its body begins, and how long it is.
    fn head(&self) -> Result<Option<(u8, usize, u64)>, Malformed> {
        let mut rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let available = rest.len();
        let Some(flags) = rest.try_get_u8().ok() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 || flags & (MORE | COMMAND) == MORE | COMMAND {
            return Err(Malformed::Flags(flags));
        }
        let size = if flags & LONG == 0 {
            rest.try_get_u8().map(u64::from)
        } else {
            rest.try_get_u64()
        };
        let Ok(size) = size else {
            return Ok(None);
        };
        let start = self.scanned + (available - rest.len());
        Ok(Some((flags, start, size)))
    }

    fn cut_out(&mut self, hole: Range<usize>) {
        let rest = self.buffer.split_off(hole.end);
        self.buffer.truncate(hole.start);
        self.buffer.unsplit(rest);
    }

    fn forget_given(&mut self) {
        self.buffer.advance(self.given);
        self.scanned -= self.given;
        self.given = 0;
        let there = self.buffer.len() as u64;
        let skipped = usize::try_from(self.skip.min(there)).unwrap_or_default();
        self.buffer.advance(skipped);
        self.skip -= skipped as u64;
    }
}

fn command(body: &[u8]) -> Result<Item<'_>, Malformed> {
    let (length, rest) = body.split_first().ok_or(Malformed::Command)?;
    let (name, body) = rest
        .split_at_checked(usize::from(*length))
        .ok_or(Malformed::Command)?;
    Ok(Item::Command { name, body })
}

/// Writes a message of two frames.
pub fn put_message(out: &mut BytesMut, topic: &[u8], payload: &[u8]) {
    put_frame(out, MORE, &[topic]);
    put_frame(out, 0, &[payload]);
}

/// Writes a message of one frame, in pieces.
pub fn put_single(out: &mut BytesMut, pieces: &[&[u8]]) {
    put_frame(out, 0, pieces);
}

/// Writes a command. Names are short.
pub fn put_command(out: &mut BytesMut, name: &[u8], body: &[u8]) {
    let length = u8::try_from(name.len()).unwrap_or_default();
    put_frame(out, COMMAND, &[&[length], name, body]);
}

fn put_frame(out: &mut BytesMut, flags: u8, pieces: &[&[u8]]) {
    let size: usize = pieces.iter().map(|piece| piece.len()).sum();
    out.reserve(size + 9);
    match u8::try_from(size) {
        Ok(size) => {
            out.put_u8(flags);
            out.put_u8(size);
        }
        Err(_) => {
            out.put_u8(flags | LONG);
            out.put_u64(size as u64);
        }
    }
    for piece in pieces {
        out.put_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Sent {
        Message(Vec<u8>, Vec<u8>),
        Command(Vec<u8>, Vec<u8>),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..600);
        prop_oneof![
            (bytes(), bytes()).prop_map(|(a, b)| Sent::Message(a, b)),
            (prop::collection::vec(any::<u8>(), 0..20), bytes())
                .prop_map(|(a, b)| Sent::Command(a, b)),
        ]
    }

    fn read_all(decoder: &mut Decoder, got: &mut Vec<Sent>) -> Result<(), Malformed> {
        while let Some(item) = decoder.next()? {
            got.push(match item {
                Item::Message { topic, payload, .. } => {
                    Sent::Message(topic.to_vec(), payload.to_vec())
                }
                Item::Overlong {
                    topic, beginning, ..
                } => Sent::Message(topic.to_vec(), beginning.to_vec()),
                Item::Command { name, body } => Sent::Command(name.to_vec(), body.to_vec()),
            });
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_it_is_cut(
            all in prop::collection::vec(sent(), 0..8), cut in 1_usize..700,
        ) {
            let mut out = BytesMut::new();
            for sent in &all {
                match sent {
                    Sent::Message(topic, payload) => put_message(&mut out, topic, payload),
                    Sent::Command(name, body) => put_command(&mut out, name, body),
                }
            }
            let mut decoder = Decoder::new(10_000);
            let mut got = Vec::new();
            for piece in out.chunks(cut) {
                decoder.room(0).extend_from_slice(piece);
                read_all(&mut decoder, &mut got).unwrap();
            }
            prop_assert_eq!(got, all);
        }

        #[test]
        fn any_bytes_are_read_or_refused(pieces: Vec<Vec<u8>>) {
            let mut decoder = Decoder::new(100);
            for piece in pieces {
                decoder.room(0).extend_from_slice(&piece);
                if read_all(&mut decoder, &mut Vec::new()).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn frames_beyond_the_second_are_counted_and_kept_as_they_came() {
        let bytes = [1, 1, b'a', 1, 1, b'b', 1, 1, b'c', 0, 0];
        let mut decoder = Decoder::new(100);
        decoder.room(0).extend_from_slice(&bytes);
        let item = decoder.next().unwrap().unwrap();
        let expected = Item::Message {
            topic: b"a",
            payload: b"b",
            frames: 4,
            raw: &bytes,
        };
        assert_eq!(item, expected);
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn a_command_between_the_frames_of_a_message_does_not_tear_it() {
        let mut decoder = Decoder::new(100);
        decoder.room(0).extend_from_slice(&[
            1, 1, b'a', 4, 5, 4, b'P', b'I', b'N', b'G', 0, 1, b'b', 0, 0,
        ]);
        let item = decoder.next().unwrap().unwrap();
        let expected = Item::Message {
            topic: b"a",
            payload: b"b",
            frames: 2,
            raw: &[1, 1, b'a', 0, 1, b'b'],
        };
        assert_eq!(item, expected);
        let empty = Item::Message {
            topic: b"",
            payload: b"",
            frames: 1,
            raw: &[0, 0],
        };
        assert_eq!(decoder.next(), Ok(Some(empty)));
    }

    #[test]
    fn of_a_message_that_is_too_large_the_beginning_is_given_and_the_rest_passed_over() {
        const SIZE: usize = 200_000;
        let mut bytes = BytesMut::new();
        put_message(&mut bytes, b"T", &vec![b'x'; SIZE]);
        put_message(&mut bytes, b"U", b"next");
        for cut in [1, 1000, bytes.len()] {
            let mut decoder = Decoder::new(1000);
            let mut got = Vec::new();
            let mut held = 0;
            for piece in bytes.chunks(cut) {
                decoder.room(0).extend_from_slice(piece);
                read_all(&mut decoder, &mut got).unwrap();
                held = held.max(decoder.pending());
            }
            let beginning = vec![b'x'; 64 * 1024];
            let expected = [
                Sent::Message(b"T".to_vec(), beginning),
                Sent::Message(b"U".to_vec(), b"next".to_vec()),
            ];
            assert_eq!(got, expected);
            assert!(held <= 64 * 1024 + 1000, "{held} bytes were kept");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_there() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::new(100);
            decoder.room(0).extend_from_slice(bytes);
            decoder.next().unwrap_err()
        };
        let too_large = Malformed::TooLarge(100);
        assert_eq!(refused(&[2, 0, 0, 0, 0, 0, 0, 0, 92]), too_large);
        assert_eq!(
            refused(&[2, 255, 255, 255, 255, 255, 255, 255, 255]),
            too_large
        );
        // In many frames, too.
        let many = [[1, 40].as_slice(), &[0; 40]].concat().repeat(3);
        assert_eq!(refused(&many), too_large);
        assert_eq!(refused(&[8]), Malformed::Flags(8));
        assert_eq!(refused(&[5, 0]), Malformed::Flags(5));
        assert_eq!(refused(&[4, 0]), Malformed::Command);
    }
}
