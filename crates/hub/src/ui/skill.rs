//! `GET /skills/{name}`: a skill for people, with its instructions as plain text.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use skill_format::SKILL_MD;

use super::page::{Page, not_found, show};
use crate::App;
use crate::catalogue::body::{ReleaseBody, SkillBody, SkillDetailBody};
use crate::catalogue::find::FindError;
use crate::catalogue::get_skill::{GetSkillError, detail};
use crate::extract::Path;
use crate::packages::list_files::open;
use crate::problem::Problem;

const RELEASES_SHOWN: usize = 30;

/// Bytes of SKILL.md that the page shows.
const TEXT_BYTES_MAX: usize = 200_000;

#[derive(Template)]
#[template(path = "skill.html")]
struct SkillPage {
    page: Page,
    skill: SkillBody,
    /// Of the latest version.
    signer: Option<String>,
    owners: String,
    rating: String,
    links: Vec<Link>,
    releases: Vec<Row>,
    older: usize,
    skill_md: Option<String>,
}

/// An address that the publisher gave. Only `http(s)` becomes a link.
struct Link {
    label: &'static str,
    target: String,
    is_web: bool,
}

impl Link {
    fn new(label: &'static str, target: Option<&String>) -> Option<Self> {
        let target = target?.clone();
        let is_web = target.starts_with("https://") || target.starts_with("http://");
        Some(Self {
            label,
            target,
            is_web,
        })
    }
}

struct Row {
    version: String,
    published: String,
    size: String,
    downloads: u64,
    state: String,
    download_url: String,
}

impl From<&ReleaseBody> for Row {
    fn from(release: &ReleaseBody) -> Self {
        Self {
            version: release.version.clone(),
            published: release
                .published_at
                .chars()
                .take("2026-01-31".len())
                .collect(),
            size: size(release.size),
            downloads: release.downloads,
            state: match (release.yanked, &release.yank_reason) {
                (false, _) => String::new(),
                (true, None) => "yanked".to_owned(),
                (true, Some(reason)) => format!("yanked: {reason}"),
            },
            download_url: release.download_url.clone(),
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The page of a skill.
pub async fn skill(State(app): State<App>, Path(name): Path<String>) -> Response {
    match detail(&app, &name).await {
        Ok((_, body)) => show(StatusCode::OK, &page(&app, body).await),
        Err(GetSkillError::Find(error @ FindError::NoSkill { .. })) => {
            not_found(&app, Problem::from(error).detail().to_owned())
        }
        Err(error) => error.into_response(),
    }
}

async fn page(app: &App, SkillDetailBody { skill, releases }: SkillDetailBody) -> SkillPage {
    let latest = releases
        .iter()
        .find(|release| Some(&release.version) == skill.version.as_ref());
    let links = [
        Link::new("Homepage", skill.homepage.as_ref()),
        Link::new("Repository", skill.repository.as_ref()),
    ];
    SkillPage {
        page: Page::of(app),
        signer: latest.and_then(|release| release.signer.clone()),
        owners: skill.owners.join(", "),
        rating: match skill.rating_count {
            0 => "not rated yet".to_owned(),
            count => format!("★ {:.1} ({count})", skill.rating),
        },
        links: links.into_iter().flatten().collect(),
        releases: releases
            .iter()
            .take(RELEASES_SHOWN)
            .map(Row::from)
            .collect(),
        older: releases.len().saturating_sub(RELEASES_SHOWN),
        skill_md: instructions(app, &skill).await,
        skill,
    }
}

/// SKILL.md of the latest version. A page without it is better than no page.
async fn instructions(app: &App, skill: &SkillBody) -> Option<String> {
    let version = skill.version.as_ref()?;
    match open(app, &skill.name, version).await {
        Ok((_, tree)) => {
            let bytes = &tree.get(SKILL_MD)?.bytes;
            let cut = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
            Some(String::from_utf8_lossy(cut).into_owned())
        }
        Err(error) => {
            tracing::warn!(%error, skill = skill.name, "cannot show the instructions");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        let is_web =
            |target: &str| Link::new("x", Some(&target.to_owned())).is_some_and(|l| l.is_web);
        assert!(is_web("https://example.com"));
        assert!(!is_web("javascript:alert(1)"));
        assert!(!is_web("data:text/html,x"));
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(17), "17 B");
        assert_eq!(size(2_048), "2.0 KiB");
        assert_eq!(size(3 * 1_048_576), "3.0 MiB");
    }
}
