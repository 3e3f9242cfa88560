//! The archive of a version: `GET /api/v1/skills/{name}/{version}/download`, and
//! the same bytes at `GET /packages/{file}`, whose address never changes its
//! meaning and may be cached for ever.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderName, HeaderValue, LOCATION,
};
use http::{HeaderMap, Method, StatusCode};
use hub_db::DbError;
use hub_model::{SkillRecord, VersionRecord};
use skill_format::{DigestError, Sha256, SkillName, parse_version};

use crate::App;
use crate::blobs::BlobError;
use crate::catalogue::find::{self, FindError};
use crate::catalogue::links::file_name;
use crate::conditional::{self, Part};
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("`{0}` is not the name of a package file")]
    NoSuchFile(String),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("the range lies beyond the end")]
    Range { size: u64 },
    #[error("the stored digest is not one: {0}")]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<DownloadError> for Problem {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::NoSuchFile(_) => Self::new(
                StatusCode::NOT_FOUND,
                "package-not-found",
                "Package files are named NAME-VERSION.spm or NAME-VERSION.zip.",
            ),
            DownloadError::Find(error) => error.into(),
            DownloadError::Range { size } => {
                let detail =
                    format!("The range lies beyond the end: the archive has {size} bytes.");
                Self::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "range-not-satisfiable",
                    detail,
                )
                .with_header(CONTENT_RANGE, content_range_of(&format!("*/{size}")))
            }
            DownloadError::Digest(_) => Self::internal(error),
            DownloadError::Blob(error) => error.into(),
            DownloadError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(DownloadError);

/// The archive of a version, or of the latest one.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/{version}/download",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "A version, or `latest`"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
    ),
    responses(
        (status = 200, description = "The archive, byte for byte as published", content(
            (Vec<u8> = "application/gzip"), (Vec<u8> = "application/zip"))),
        (status = 206, description = "A part of it", content(
            (Vec<u8> = "application/gzip"), (Vec<u8> = "application/zip"))),
        (status = 304, description = "The client has this already"),
        (status = 307, description = "It is at `Location`, for a while"),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 416, description = "`range-not-satisfiable`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn download(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, DownloadError> {
    let skill = find::skill(&app, &name).await?;
    let found = find::version(&app, &skill, &version).await?;
    // `latest` means another archive tomorrow.
    let is_permanent = version != "latest";
    answer(&app, &skill, &found, is_permanent, &method, &headers).await
}

/// The archive of a version at its permanent address.
#[utoipa::path(
    get,
    path = "/packages/{file}",
    tag = "packages",
    params(
        ("file" = String, Path, description = "NAME-VERSION.spm or NAME-VERSION.zip"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
    ),
    responses(
        (status = 200, description = "The archive, byte for byte as published", content(
            (Vec<u8> = "application/gzip"), (Vec<u8> = "application/zip"))),
        (status = 206, description = "A part of it", content(
            (Vec<u8> = "application/gzip"), (Vec<u8> = "application/zip"))),
        (status = 304, description = "The client has this already"),
        (status = 307, description = "It is at `Location`, for a while"),
        (status = 404, description = "`package-not-found`, `skill-not-found`, `version-not-found`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "`range-not-satisfiable`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn package(
    State(app): State<App>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, DownloadError> {
    let Some((name, version)) = split_file_name(&file) else {
        return Err(DownloadError::NoSuchFile(file));
    };
    let skill = find::skill(&app, name).await?;
    let found = find::version(&app, &skill, version).await?;
    if file_name(&skill.name, &found.version, &found.media_type) != file {
        // Another spelling, other build metadata or the other extension: an
        // immutable address has one form.
        return Err(DownloadError::NoSuchFile(file));
    }
    answer(&app, &skill, &found, true, &method, &headers).await
}

/// `data-loader-1.0.0-rc.1.spm` → `data-loader`, `1.0.0-rc.1`. A name holds no
/// dot and a version begins with a number and a dot, so there is one way to cut.
fn split_file_name(file: &str) -> Option<(&str, &str)> {
    let stem = file
        .strip_suffix(".spm")
        .or_else(|| file.strip_suffix(".zip"))?;
    let cuts = stem
        .match_indices('-')
        .map(|(at, _)| (&stem[..at], &stem[at + 1..]));
    cuts.into_iter()
        .find(|(name, version)| SkillName::parse(name).is_ok() && parse_version(version).is_ok())
}

async fn answer(
    app: &App,
    skill: &SkillRecord,
    version: &VersionRecord,
    is_permanent: bool,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, DownloadError> {
    let etag = conditional::archive_tag(&version.sha256);
    let common = [
        (ETAG, etag.clone()),
        (
            CACHE_CONTROL,
            HeaderValue::from_static(cache_control(app.is_private(), is_permanent)),
        ),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    if conditional::none_match(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let part = conditional::part(headers, version.size, &etag);
    let (status, range) = match part {
        Part::Whole => (StatusCode::OK, 0..version.size),
        Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::Unsatisfiable => return Err(DownloadError::Range { size: version.size }),
    };
    if method == Method::GET && range.start == 0 {
        app.downloads().count(skill.id, &skill.name, version.id);
        app.metrics().downloads().increment(1);
    }
    let digest: Sha256 = version.sha256.parse()?;
    let name = file_name(&skill.name, &version.version, &version.media_type);
    if let Some(elsewhere) = app
        .blobs()
        .presigned(digest, &version.media_type, &name)
        .await?
    {
        return Ok(redirect(elsewhere.as_str()));
    }
    let mut answer = HeaderMap::from_iter(common);
    answer.extend(representation(version, &name, range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("{}-{}/{}", range.start, range.end - 1, version.size);
        answer.insert(CONTENT_RANGE, content_range_of(&text));
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(app.blobs().read(digest, range).await?.stream)
    };
    Ok((status, answer, body).into_response())
}

fn representation(
    version: &VersionRecord,
    file_name: &str,
    length: u64,
) -> [(HeaderName, HeaderValue); 3] {
    let media_type = HeaderValue::from_str(&version.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{file_name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    [
        (CONTENT_TYPE, media_type),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_LENGTH, HeaderValue::from(length)),
    ]
}

/// 307, so that a client repeats its method and its `Range`. The address is good
/// for minutes only, so nobody may keep it.
fn redirect(elsewhere: &str) -> Response {
    let location = HeaderValue::try_from(elsewhere).unwrap_or(HeaderValue::from_static("/"));
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

/// A year is what HTTP caches take for "for ever".
fn cache_control(is_private: bool, is_permanent: bool) -> &'static str {
    match (is_private, is_permanent) {
        (false, true) => "public, max-age=31536000, immutable",
        (true, true) => "private, max-age=31536000, immutable",
        (false, false) => "public, no-cache",
        (true, false) => "private, no-cache",
    }
}

fn content_range_of(text: &str) -> HeaderValue {
    HeaderValue::try_from(format!("bytes {text}")).unwrap_or(HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_cut_where_the_version_begins() {
        for (file, expected) in [
            ("csv-1.0.0.spm", Some(("csv", "1.0.0"))),
            (
                "data-loader-1.0.0-rc.1.zip",
                Some(("data-loader", "1.0.0-rc.1")),
            ),
            ("a-1-2.0.0+b.spm", Some(("a-1", "2.0.0+b"))),
            ("a-1.0.0-2.0.0.spm", Some(("a", "1.0.0-2.0.0"))),
            ("csv-1.0.spm", None),
            ("csv.spm", None),
            ("-1.0.0.spm", None),
            ("csv-1.0.0.tar", None),
            ("../x-1.0.0.spm", None),
            ("", None),
        ] {
            assert_eq!(split_file_name(file), expected, "{file}");
        }
    }
}
