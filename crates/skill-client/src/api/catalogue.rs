//! Reading the catalogue: skills, releases, files, search, tags.

use bytes::Bytes;
use serde::Deserialize;
use skill_format::{Limits, SkillName, Version};

use super::types::{
    DayDownloads, Dependent, FileInfo, Health, ListQuery, ReleaseDetail, SearchPage, SearchQuery,
    SkillDetail, SkillPage, TagCount,
};
use super::{ApiError, Client};

#[derive(Deserialize)]
struct Tags {
    tags: Vec<TagCount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dependents {
    dependents: Vec<Dependent>,
    next_cursor: Option<String>,
}

impl Client {
    /// One page of the list of skills.
    pub async fn list(&self, query: &ListQuery) -> Result<SkillPage, ApiError> {
        let mut pairs = Pairs::default();
        pairs.text("search", query.search.as_deref());
        pairs.text("tags", Some(query.tags.join(",")).as_deref());
        pairs.text("sort", query.sort.map(super::Sort::as_str));
        pairs.number("limit", query.limit);
        match &query.cursor {
            Some(cursor) => pairs.text("cursor", Some(cursor)),
            None => pairs.number("offset", query.offset),
        }
        self.read_query(&["skills"], &pairs.borrowed()).await
    }

    /// One page of what a search finds.
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchPage, ApiError> {
        let mut pairs = Pairs::default();
        pairs.0.push(("q", query.text.clone()));
        pairs.text("tags", Some(query.tags.join(",")).as_deref());
        pairs.text("framework", query.framework.as_deref());
        pairs.text("author", query.author.as_deref());
        pairs.number("limit", query.limit);
        pairs.number("offset", query.offset);
        self.read_query(&["search"], &pairs.borrowed()).await
    }

    /// A skill with all its releases.
    pub async fn skill(&self, name: &SkillName) -> Result<SkillDetail, ApiError> {
        self.read(&["skills", name.as_str()]).await
    }

    /// One release with its signature.
    pub async fn release(
        &self,
        name: &SkillName,
        version: &Version,
    ) -> Result<ReleaseDetail, ApiError> {
        self.read(&["skills", name.as_str(), &version.to_string()])
            .await
    }

    /// The newest release that is not yanked.
    pub async fn latest(&self, name: &SkillName) -> Result<ReleaseDetail, ApiError> {
        self.read(&["skills", name.as_str(), "latest"]).await
    }

    /// The files of a release.
    pub async fn files(
        &self,
        name: &SkillName,
        version: &Version,
    ) -> Result<Vec<FileInfo>, ApiError> {
        self.read(&["skills", name.as_str(), &version.to_string(), "files"])
            .await
    }

    /// One file of a release.
    pub async fn file(
        &self,
        name: &SkillName,
        version: &Version,
        path: &str,
    ) -> Result<Bytes, ApiError> {
        let version = version.to_string();
        let mut segments = vec!["skills", name.as_str(), &version, "files"];
        segments.extend(path.split('/'));
        self.read_bytes(&self.url(&segments), Limits::default().file_bytes_max)
            .await
    }

    /// The tags in use, most used first.
    pub async fn tags(&self) -> Result<Vec<TagCount>, ApiError> {
        self.read(&["tags"]).await.map(|answer: Tags| answer.tags)
    }

    /// Which skills depend on this one, all of them.
    pub async fn dependents(&self, name: &SkillName) -> Result<Vec<Dependent>, ApiError> {
        let mut dependents = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query: Vec<(&str, &str)> = cursor
                .as_deref()
                .map(|cursor| ("cursor", cursor))
                .into_iter()
                .collect();
            let page: Dependents = self
                .read_query(&["skills", name.as_str(), "dependents"], &query)
                .await?;
            let is_empty = page.dependents.is_empty();
            dependents.extend(page.dependents);
            match page.next_cursor {
                Some(next) if !is_empty => cursor = Some(next),
                _ => return Ok(dependents),
            }
        }
    }

    /// Downloads per day, oldest first.
    pub async fn downloads(
        &self,
        name: &SkillName,
        days: u32,
    ) -> Result<Vec<DayDownloads>, ApiError> {
        self.read_query(
            &["skills", name.as_str(), "downloads"],
            &[("days", &days.to_string())],
        )
        .await
    }

    /// The state of the registry.
    pub async fn health(&self) -> Result<Health, ApiError> {
        self.read_anonymously(&["health"]).await
    }
}

/// The parameters of a query that are given.
#[derive(Default)]
struct Pairs(Vec<(&'static str, String)>);

impl Pairs {
    fn text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push((name, value.to_owned()));
        }
    }

    fn number(&mut self, name: &'static str, value: Option<u32>) {
        if let Some(value) = value {
            self.0.push((name, value.to_string()));
        }
    }

    fn borrowed(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}
