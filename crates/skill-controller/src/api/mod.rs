//! A thin client of the Kubernetes API: the few verbs a controller needs, on JSON. Knows no SkillTopics.

mod access;
mod error;
mod watch;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

pub use access::{Access, AccessError, Token};
pub use error::ApiError;
pub use watch::{Event, Watch, WatchEnd};

use crate::FIELD_MANAGER;

/// How long one answer may take. Watches last longer, see [`watch`].
const ANSWER_SECONDS_MAX: u64 = 20;
/// Most bytes of one answer: 500 objects of at most some 20 KiB, with much room.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Objects per page of a list.
const PAGE: &str = "500";

/// A kind of objects, and where they are.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
}

impl Resource {
    /// As objects write it.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const fn resource(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        kind,
    }
}

pub static SKILL_TOPIC: Resource =
    resource("skillscale.io", "v1alpha1", "skilltopics", "SkillTopic");
pub static DEPLOYMENT: Resource = resource("apps", "v1", "deployments", "Deployment");
pub static SERVICE: Resource = resource("", "v1", "services", "Service");
pub static POD_DISRUPTION_BUDGET: Resource = resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
);
pub static SCALED_OBJECT: Resource =
    resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject");
pub static LEASE: Resource = resource("coordination.k8s.io", "v1", "leases", "Lease");

/// All objects of a kind, and from where on to watch them.
#[derive(Debug)]
pub struct List {
    pub items: Vec<Value>,
    pub version: String,
}

/// The API server. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    server: Url,
    token: Token,
}

impl Api {
    /// Opens no connection yet.
    pub fn new(access: Access) -> Result<Self, AccessError> {
        let (http, server, token) = access.open()?;
        Ok(Self {
            http,
            server,
            token,
        })
    }

    /// Whether the server has an API group in this version.
    pub async fn has_group(&self, group: &str, version: &str) -> Result<bool, ApiError> {
        let url = self.url(&["apis", group, version], &[]);
        match self.call(Method::GET, url, None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An object, if it is there.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let url = self.object(resource, namespace, name, None, &[]);
        match self.call(Method::GET, url, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects, page by page. A list whose next page has expired is begun anew, once.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<List, ApiError> {
        match self.pages(resource, namespace, labels).await {
            Err(error) if error.is_expired() => self.pages(resource, namespace, labels).await,
            other => other,
        }
    }

    async fn pages(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<List, ApiError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = vec![("limit", PAGE)];
            query.extend(labels.map(|labels| ("labelSelector", labels)));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let url = self.collection(resource, namespace, &query);
            let mut page = self.call(Method::GET, url, None).await?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            let text = |field: &str| {
                page["metadata"][field]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            next = text("continue");
            if next.is_empty() {
                return Ok(List {
                    items,
                    version: text("resourceVersion"),
                });
            }
        }
    }

    /// What happens to objects after `version`.
    pub async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
        version: &str,
    ) -> Result<Watch, ApiError> {
        let seconds = watch::SECONDS.to_string();
        let mut query = vec![
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &seconds),
            ("resourceVersion", version),
        ];
        query.extend(labels.map(|labels| ("labelSelector", labels)));
        let url = self.collection(resource, namespace, &query);
        let response = self.send(Method::GET, url, None).await?;
        if response.status().is_success() {
            Ok(Watch::new(response))
        } else {
            Err(refusal(response).await)
        }
    }

    /// Server-side apply: the object's fields become ours, whoever had set them; other fields stay.
    pub async fn apply(&self, resource: &Resource, object: &Value) -> Result<Value, ApiError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let query = [("fieldManager", FIELD_MANAGER), ("force", "true")];
        let url = self.object(resource, text("namespace"), text("name"), None, &query);
        // JSON is YAML, and this is the only type that every server with server-side apply knows.
        self.call(
            Method::PATCH,
            url,
            Some(("application/apply-patch+yaml", object)),
        )
        .await
    }

    /// Makes an object; a conflict if there is one of that name.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let query = [("fieldManager", FIELD_MANAGER)];
        let url = self.collection(resource, Some(namespace), &query);
        self.call(Method::POST, url, Some(("application/json", object)))
            .await
    }

    /// Replaces an object; a conflict if its `resourceVersion` is no longer the newest.
    pub async fn replace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let query = [("fieldManager", FIELD_MANAGER)];
        let url = self.object(resource, namespace, name, None, &query);
        self.call(Method::PUT, url, Some(("application/json", object)))
            .await
    }

    /// Replaces the status of an object in the state it was read in; a conflict if it has changed since.
    pub async fn set_status(
        &self,
        resource: &Resource,
        object: &Value,
        status: &Value,
    ) -> Result<Value, ApiError> {
        let mut object = object.clone();
        object["status"] = status.clone();
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let query = [("fieldManager", FIELD_MANAGER)];
        let url = self.object(
            resource,
            text("namespace"),
            text("name"),
            Some("status"),
            &query,
        );
        self.call(Method::PUT, url, Some(("application/json", &object)))
            .await
    }

    /// Removes exactly this object: not one that was made in its place meanwhile.
    pub async fn delete(&self, resource: &Resource, object: &Value) -> Result<(), ApiError> {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let url = self.object(resource, text("namespace"), text("name"), None, &[]);
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] },
        });
        match self
            .call(Method::DELETE, url, Some(("application/json", &options)))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn collection(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        query: &[(&str, &str)],
    ) -> Url {
        let mut path = root(resource);
        if let Some(namespace) = namespace {
            path.extend(["namespaces", namespace]);
        }
        path.push(resource.plural);
        self.url(&path, query)
    }

    fn object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        part: Option<&str>,
        query: &[(&str, &str)],
    ) -> Url {
        let mut path = root(resource);
        path.extend(["namespaces", namespace, resource.plural, name]);
        path.extend(part);
        self.url(&path, query)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        // Never without a path: `Access::open` takes http and https only.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, ApiError> {
        let what = format!("{method} {}", url.path());
        let answer = async {
            let response = self.send(method, url, body).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let body = read(response).await?;
            serde_json::from_slice(&body).map_err(|source| ApiError::Unreadable {
                what: what.clone(),
                source,
            })
        };
        tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), answer)
            .await
            .unwrap_or_else(|_| {
                Err(ApiError::Late {
                    what: what.clone(),
                    seconds: ANSWER_SECONDS_MAX,
                })
            })
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<(&str, &Value)>,
    ) -> Result<reqwest::Response, ApiError> {
        let mut request = self
            .http
            .request(method, url.clone())
            .header(header::ACCEPT, "application/json");
        if let Some(token) = self.token.read().await? {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some((kind, body)) = body {
            request = request
                .header(header::CONTENT_TYPE, kind)
                .body(body.to_string());
        }
        request
            .send()
            .await
            .map_err(|source| ApiError::Unreachable {
                server: self.server.to_string(),
                source: source.without_url(),
            })
    }
}

fn root(resource: &Resource) -> Vec<&'static str> {
    if resource.group.is_empty() {
        vec!["api", resource.version]
    } else {
        vec!["apis", resource.group, resource.version]
    }
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| ApiError::BrokenOff {
            source: source.without_url(),
        })?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ApiError::TooLarge {
                bytes_max: ANSWER_BYTES_MAX,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What the server's own account of a failure says, a Status object as a rule.
async fn refusal(response: reqwest::Response) -> ApiError {
    let status = response.status();
    let body = read(response).await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    ApiError::refused(status, &said)
}

impl ApiError {
    fn refused(status: StatusCode, said: &Value) -> Self {
        let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        Self::Refused {
            status: status.as_u16(),
            reason: text("reason"),
            message: match text("message") {
                message if message.is_empty() => status.to_string(),
                message => message,
            },
        }
    }
}
