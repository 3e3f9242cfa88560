//! Reads what a publisher sent, in either form of the API, into bounded memory.
//! Knows the request, not what is in the archive.

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};

use crate::extract::{body_cut_off, media_type, too_large};
use crate::problem::{FieldError, Problem};

/// Longest armored signature: four RSA-4096 signature packets with notations fit.
const SIGNATURE_BYTES_MAX: usize = 16 * 1024;

/// Longest version text; semver has no bound of its own.
const VERSION_BYTES_MAX: usize = 256;

/// An upload as it came. Nothing in it has been checked.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    pub archive: Bytes,
    /// Armored.
    pub signature: Option<String>,
    /// For a skill that does not say its version itself.
    pub version: Option<String>,
}

/// Reads the body by its content type. `archive_bytes_max` bounds the archive.
pub async fn read(request: Request, archive_bytes_max: u64) -> Result<Upload, Problem> {
    let archive_bytes_max = usize::try_from(archive_bytes_max).unwrap_or(usize::MAX);
    match media_type(request.headers()).as_deref() {
        Some("multipart/form-data") => read_form(request, archive_bytes_max).await,
        Some("application/gzip" | "application/zip" | "application/vnd.skills.spm") => {
            read_bare(request, archive_bytes_max).await
        }
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Send the archive as multipart/form-data, application/gzip, application/zip or \
             application/vnd.skills.spm.",
        )),
    }
}

async fn read_bare(request: Request, archive_bytes_max: usize) -> Result<Upload, Problem> {
    let (parts, body) = request.into_parts();
    let signature = signature_header(&parts.headers)?;
    let version = text_header(&parts.headers, "skill-version")?;
    if let Some(version) = &version {
        check_length("Skill-Version", version.len(), VERSION_BYTES_MAX)?;
    }
    let archive = collect(body, archive_bytes_max).await?;
    Ok(Upload {
        archive,
        signature,
        version,
    })
}

/// `Skill-Signature`: base64 of the armored text, which has line ends and so
/// cannot stand in a header itself.
fn signature_header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "skill-signature";
    let Some(encoded) = text_header(headers, NAME)? else {
        return Ok(None);
    };
    let decoded = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| {
        bad_field(
            "Skill-Signature",
            "the header is not base64 of an armored signature",
        )
    })?;
    let text = String::from_utf8(decoded)
        .map_err(|_| bad_field("Skill-Signature", "the armored signature is not text"))?;
    check_length("Skill-Signature", text.len(), SIGNATURE_BYTES_MAX)?;
    Ok(Some(text))
}

fn text_header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| bad_field(name, "the header is not ASCII text"))?;
    Ok(Some(text.trim().to_owned()))
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut buffer = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| body_cut_off())?;
        if buffer.len() + chunk.len() > bytes_max {
            return Err(archive_too_large(bytes_max));
        }
        buffer.extend_from_slice(&chunk);
    }
    Ok(buffer.freeze())
}

async fn read_form(request: Request, archive_bytes_max: usize) -> Result<Upload, Problem> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| {
        bad_field(
            "Content-Type",
            "multipart/form-data needs a boundary parameter",
        )
    })?;
    let (mut archive, mut signature, mut version) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(form_problem)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "archive" => {
                let bytes = field_bytes(field, archive_bytes_max)
                    .await?
                    .ok_or_else(|| archive_too_large(archive_bytes_max))?;
                once(&mut archive, bytes, "archive")?;
            }
            "signature" => {
                let text = field_text(field, "signature", SIGNATURE_BYTES_MAX).await?;
                once(&mut signature, text, "signature")?;
            }
            "version" => {
                let text = field_text(field, "version", VERSION_BYTES_MAX).await?;
                once(&mut version, text.trim().to_owned(), "version")?;
            }
            _ => return Err(bad_field(&cut(&name), "there is no field of this name")),
        }
    }
    let archive = archive.ok_or_else(|| bad_field("archive", "the field is missing"))?;
    Ok(Upload {
        archive,
        signature,
        version,
    })
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), Problem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad_field(name, "the field appears twice")),
    }
}

/// `None` when the field is larger than `bytes_max`.
async fn field_bytes(mut field: Field<'_>, bytes_max: usize) -> Result<Option<Bytes>, Problem> {
    let mut buffer = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(form_problem)? {
        if buffer.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        buffer.extend_from_slice(&chunk);
    }
    Ok(Some(buffer.freeze()))
}

async fn field_text(field: Field<'_>, name: &str, bytes_max: usize) -> Result<String, Problem> {
    let bytes = field_bytes(field, bytes_max)
        .await?
        .ok_or_else(|| bad_field(name, &format!("the field may take {bytes_max} bytes")))?;
    String::from_utf8(bytes.into()).map_err(|_| bad_field(name, "the field is not UTF-8 text"))
}

fn form_problem(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large("The form is larger than this endpoint reads."),
        StatusCode::INTERNAL_SERVER_ERROR => body_cut_off(),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-form",
            "The body is not well-formed multipart/form-data, or ended too early.",
        ),
    }
}

fn check_length(field: &str, length: usize, bytes_max: usize) -> Result<(), Problem> {
    if length > bytes_max {
        return Err(bad_field(
            field,
            &format!("the text may take {bytes_max} bytes"),
        ));
    }
    Ok(())
}

fn archive_too_large(bytes_max: usize) -> Problem {
    too_large(format!("An archive may take {bytes_max} bytes."))
}

fn bad_field(field: &str, message: &str) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-upload",
        format!("The upload cannot be used: {field}: {message}."),
    )
    .with_error(FieldError::new(field, message))
}

/// A stranger's field name, short enough to repeat.
fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(media_type: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        let mut builder = Request::builder().header("content-type", media_type);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Body::from(body.to_vec())).expect("a request")
    }

    fn form(parts: &[(&str, &str)]) -> Request {
        let mut body = String::new();
        for (name, value) in parts {
            body.push_str(&format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str("--x--\r\n");
        request("multipart/form-data; boundary=x", &[], body.as_bytes())
    }

    async fn code(request: Request) -> String {
        read(request, 8)
            .await
            .expect_err("refused")
            .code()
            .to_owned()
    }

    #[tokio::test]
    async fn both_forms_give_the_same_upload() {
        let bare = request(
            "application/gzip",
            &[("skill-signature", "c2ln"), ("skill-version", "1.0.0")],
            b"archive",
        );
        let bare = read(bare, 8).await.expect("read");
        let form = form(&[
            ("archive", "archive"),
            ("signature", "sig"),
            ("version", "1.0.0"),
        ]);
        let form = read(form, 8).await.expect("read");
        for upload in [bare, form] {
            assert_eq!(upload.archive, "archive");
            assert_eq!(upload.signature.as_deref(), Some("sig"));
            assert_eq!(upload.version.as_deref(), Some("1.0.0"));
        }
    }

    #[tokio::test]
    async fn bounds_are_kept_in_both_forms() {
        assert_eq!(
            code(request("application/zip", &[], b"123456789")).await,
            "payload-too-large"
        );
        assert_eq!(
            code(form(&[("archive", "123456789")])).await,
            "payload-too-large"
        );
        let long = "x".repeat(VERSION_BYTES_MAX + 1);
        assert_eq!(code(form(&[("version", &long)])).await, "invalid-upload");
    }

    #[tokio::test]
    async fn what_is_not_a_publish_is_named() {
        assert_eq!(
            code(request("application/json", &[], b"{}")).await,
            "unsupported-media-type"
        );
        assert_eq!(
            code(request("multipart/form-data", &[], b"")).await,
            "invalid-upload"
        );
        assert_eq!(code(form(&[("version", "1")])).await, "invalid-upload");
        assert_eq!(
            code(form(&[("archive", "a"), ("archive", "b")])).await,
            "invalid-upload"
        );
        assert_eq!(code(form(&[("archve", "a")])).await, "invalid-upload");
        let signature = [("skill-signature", "not base64!")];
        assert_eq!(
            code(request("application/gzip", &signature, b"a")).await,
            "invalid-upload"
        );
        let broken = request(
            "multipart/form-data; boundary=x",
            &[],
            b"--x\r\ncontent-dis",
        );
        assert_eq!(code(broken).await, "invalid-form");
    }
}
