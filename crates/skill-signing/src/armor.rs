//! ASCII armor (RFC 9580, section 6), read strictly: one block and nothing around it.
//!
//! Knows the envelope, not the packets inside. Strict, since "one of the blocks in this text is
//! signed" is how people are fooled about which part a signature covers.

use std::io::Read;

use pgp::armor::Dearmor;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What an armor block says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    PublicKey,
    SecretKey,
    Signature,
    /// A signed or encrypted message: the text is inside.
    Message,
    /// The cleartext signature framework: the text is around the signature.
    Cleartext,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArmorError {
    /// There is no armor header.
    Missing,
    Several,
    /// There is other text before or after the block.
    Surrounded,
    Malformed(String),
}

/// Whether `bytes` are text that may be armor, and not binary OpenPGP, whose first bit is set.
pub(crate) fn may_be_armor(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii)
}

/// The kind of the only block in `text`, before its content is looked at.
pub(crate) fn kind(text: &str) -> Result<Block, ArmorError> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix(BEGIN) else {
        let elsewhere = text.contains(BEGIN);
        return Err(if elsewhere {
            ArmorError::Surrounded
        } else {
            ArmorError::Missing
        });
    };
    let label = rest.split_once(DASHES).map_or("", |(label, _)| label);
    let block = block(label);
    if block == Block::Cleartext {
        // It holds a second block by design.
        return Ok(block);
    }
    if text.matches(BEGIN).count() > 1 {
        return Err(ArmorError::Several);
    }
    if !text.ends_with(&format!("{END}{label}{DASHES}")) {
        let closed = text.contains(&format!("{END}{label}{DASHES}"));
        return Err(if closed {
            ArmorError::Surrounded
        } else {
            ArmorError::Malformed("the block has no end line".into())
        });
    }
    Ok(block)
}

/// The binary content of the only block in `text`.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, ArmorError> {
    let malformed = |error: &dyn std::fmt::Display| ArmorError::Malformed(error.to_string());
    // The library's parser wants a line end after the last line.
    let text = format!("{}\n", text.trim());
    let mut dearmor = Dearmor::new(text.as_bytes());
    dearmor.read_header().map_err(|error| malformed(&error))?;
    let mut bytes = Vec::new();
    dearmor
        .read_to_end(&mut bytes)
        .map_err(|error| malformed(&error))?;
    Ok(bytes)
}

fn block(label: &str) -> Block {
    match label {
        "PGP PUBLIC KEY BLOCK" => Block::PublicKey,
        "PGP PRIVATE KEY BLOCK" => Block::SecretKey,
        "PGP SIGNATURE" => Block::Signature,
        "PGP MESSAGE" => Block::Message,
        "PGP SIGNED MESSAGE" => Block::Cleartext,
        _ => Block::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN PGP SIGNATURE-----\n\naGVsbG8=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn one_block_is_read_with_and_without_headers_and_line_ends() {
        assert_eq!(kind(BLOCK), Ok(Block::Signature));
        for text in [
            BLOCK.to_owned(),
            BLOCK.trim().to_owned(),
            BLOCK.replace('\n', "\r\n"),
            BLOCK.replacen("\n\n", "\nComment: hello\n\n", 1),
            format!("\n \n{BLOCK}\n\n"),
        ] {
            assert_eq!(decode(&text), Ok(b"hello".to_vec()), "{text}");
        }
    }

    #[test]
    fn anything_but_one_bare_block_is_refused() {
        assert_eq!(kind(""), Err(ArmorError::Missing));
        assert_eq!(kind("hello"), Err(ArmorError::Missing));
        assert_eq!(
            kind(&format!("hello\n{BLOCK}")),
            Err(ArmorError::Surrounded)
        );
        assert_eq!(kind(&format!("{BLOCK}hello")), Err(ArmorError::Surrounded));
        assert_eq!(kind(&format!("{BLOCK}{BLOCK}")), Err(ArmorError::Several));
        let open = BLOCK.split("-----END").next().unwrap();
        assert!(matches!(kind(open), Err(ArmorError::Malformed(_))));
        let crossed = BLOCK.replace("END PGP SIGNATURE", "END PGP MESSAGE");
        assert!(matches!(kind(&crossed), Err(ArmorError::Malformed(_))));
        assert_eq!(
            kind("-----BEGIN PGP SIGNED MESSAGE-----\n\nhi\n"),
            Ok(Block::Cleartext)
        );
    }
}
