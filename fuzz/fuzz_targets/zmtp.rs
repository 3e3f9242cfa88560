//! Any bytes as what a ZeroMQ peer sends, in pieces of any size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_mesh::zmtp::{Decoder, Item, Malformed};

const BYTES_MAX: usize = 4096;

fn read(pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<Vec<Vec<u8>>>, Option<Malformed>) {
    let mut decoder = Decoder::new(BYTES_MAX);
    let mut items = Vec::new();
    for piece in pieces {
        decoder.room(piece.len()).extend_from_slice(&piece);
        loop {
            match decoder.next() {
                Ok(Some(Item::Message { topic, payload, frames, raw })) => {
                    assert!(raw.len() <= BYTES_MAX && topic.len() + payload.len() <= raw.len());
                    assert!(frames > 0);
                    items.push(vec![topic.to_vec(), payload.to_vec(), raw.to_vec()]);
                }
                Ok(Some(Item::Overlong { topic, beginning, bytes })) => {
                    assert!(beginning.len() as u64 <= bytes);
                    items.push(vec![topic.to_vec(), beginning.to_vec()]);
                }
                Ok(Some(Item::Command { name, body })) => {
                    items.push(vec![name.to_vec(), body.to_vec()]);
                }
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read(std::iter::once(bytes.to_vec()));
    let cut = read(bytes.chunks(usize::from(*cut).max(1)).map(<[u8]>::to_vec));
    assert_eq!(whole, cut);
});
