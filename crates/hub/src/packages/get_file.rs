//! `GET /api/v1/skills/{name}/{version}/files/{path}`: one file of the archive.
//! Strangers wrote it, so no browser may run it: text is plain text, everything
//! else is a download, and the page that it would make is sandboxed.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

use super::list_files::{OpenError, open};
use crate::App;
use crate::conditional;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum GetFileError {
    #[error("there is no such file in the archive")]
    NoFile,
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<GetFileError> for Problem {
    fn from(error: GetFileError) -> Self {
        match error {
            GetFileError::NoFile => Self::new(
                StatusCode::NOT_FOUND,
                "file-not-found",
                "There is no file of this path in the archive.",
            ),
            GetFileError::Open(error) => error.into(),
        }
    }
}

answers_with_problem!(GetFileError);

/// One file of the archive of a version.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/{version}/files/{path}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "A version, or `latest`"),
        ("path" = String, Path, description = "The file's path; may hold slashes"),
    ),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/plain; charset=utf-8"), (Vec<u8> = "application/octet-stream"))),
        (status = 304, description = "The client has this already"),
        (status = 404, description = "`file-not-found`, `skill-not-found`, `version-not-found`",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_file(
    State(app): State<App>,
    Path((name, version, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, GetFileError> {
    let (_, tree) = open(&app, &name, &version).await?;
    let file = tree.get(&path).ok_or(GetFileError::NoFile)?;
    let etag = conditional::weak_tag(&file.bytes);
    let cache_control = if app.is_private() {
        "private, no-cache"
    } else {
        "public, no-cache"
    };
    let tags = [
        (ETAG, etag.clone()),
        (CACHE_CONTROL, HeaderValue::from_static(cache_control)),
    ];
    if conditional::none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, tags).into_response());
    }
    let is_text = std::str::from_utf8(&file.bytes).is_ok_and(|text| !text.contains('\0'));
    let media_type = if is_text {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    let safe = [
        (CONTENT_TYPE, media_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    Ok((tags, safe, file.bytes.clone()).into_response())
}
