//! `multipart/form-data` (RFC 7578) as one block of bytes, so that a request can be sent again.

use bytes::{BufMut as _, Bytes, BytesMut};
use skill_format::Sha256;

/// A form that is being filled in.
#[derive(Debug, Default)]
pub struct Multipart {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    header: String,
    content: Bytes,
}

impl Multipart {
    /// A form without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text. `name` is one of ours and needs no quoting.
    pub fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let header = format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        self.parts.push(Part {
            header,
            content: Bytes::from(value.into()),
        });
        self
    }

    /// Adds a file.
    pub fn file(
        mut self,
        name: &'static str,
        file_name: &'static str,
        content_type: &str,
        content: Bytes,
    ) -> Self {
        let header = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: {content_type}\r\n\r\n"
        );
        self.parts.push(Part { header, content });
        self
    }

    /// The `Content-Type` header and the body. The same form gives the same bytes.
    pub fn encode(self) -> (String, Bytes) {
        let boundary = self.boundary();
        let length: usize = self
            .parts
            .iter()
            .map(|part| part.header.len() + part.content.len() + 128)
            .sum();
        let mut body = BytesMut::with_capacity(length + 128);
        for part in &self.parts {
            body.put_slice(format!("--{boundary}\r\n{}", part.header).as_bytes());
            body.put_slice(&part.content);
            body.put_slice(b"\r\n");
        }
        body.put_slice(format!("--{boundary}--\r\n").as_bytes());
        (
            format!("multipart/form-data; boundary={boundary}"),
            body.freeze(),
        )
    }

    /// A digest of the content cannot occur in the content.
    fn boundary(&self) -> String {
        let digests: String = self
            .parts
            .iter()
            .map(|part| Sha256::of(&part.content).hex())
            .collect();
        format!("skills-{}", &Sha256::of(digests.as_bytes()).hex()[..40])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_shape_that_the_standard_asks_for() {
        let form = || {
            Multipart::new().text("version", "1.0.0").file(
                "archive",
                "skill.spm",
                "application/gzip",
                "x\r\n--y".into(),
            )
        };
        let (content_type, body) = form().encode();
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .expect("a boundary");
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"version\"\r\n\r\n1.0.0\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"archive\"; filename=\"skill.spm\"\r\n\
             Content-Type: application/gzip\r\n\r\nx\r\n--y\r\n--{boundary}--\r\n"
        );
        assert_eq!(body, expected.as_bytes());
        assert_eq!(form().encode().1, body);
    }
}
