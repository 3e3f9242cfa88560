//! A Kubernetes API server, as far as the controller can tell: objects with versions and generations, watches
//! that can be too old, server-side apply by field manager, conflicts, the status subresource, and the
//! removal of what belonged to a removed object.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use skill_controller::api::{Access, Api};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Nothing here takes long; a loaded machine may make it so.
const PATIENCE: Duration = Duration::from_secs(120);
/// Smaller than what clients ask for, so that lists have pages.
const PAGE: usize = 2;

type Id = (String, String, String);

#[derive(Default)]
pub struct Store {
    pub objects: BTreeMap<Id, Value>,
    /// Everything that happened: version, type, object, plural.
    history: Vec<(u64, &'static str, Value, String)>,
    /// What managers applied last, to know what they no longer want.
    applied: BTreeMap<(Id, String), Value>,
    version: u64,
    /// Watches from before this version are refused.
    oldest: u64,
    /// Watches opened before this are ended.
    epoch: u64,
    pub has_keda: bool,
    /// Requests to be answered with 503.
    pub broken: u32,
    /// Kinds (plural) to be refused with 422.
    pub refused: Vec<String>,
    /// `VERB plural` of each request that was let through.
    pub requests: Vec<String>,
    uids: u64,
}

#[derive(Clone)]
pub struct ApiServer {
    store: Arc<Mutex<Store>>,
    changed: Arc<watch::Sender<u64>>,
    url: String,
}

impl ApiServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            store: Arc::default(),
            changed: Arc::new(watch::channel(0).0),
        };
        server.store.lock().expect("not poisoned").has_keda = true;
        let router = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn api(&self) -> Api {
        Api::new(Access {
            server: self.url.clone(),
            token_file: None,
            ca_file: None,
        })
        .expect("a client")
    }

    /// Looks at or changes the state; whoever waits looks again.
    pub fn with<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        let result = work(&mut self.store.lock().expect("not poisoned"));
        self.changed.send_modify(|count| *count += 1);
        result
    }

    /// Waits until something is the case.
    pub async fn until<T>(&self, what: &str, mut found: impl FnMut(&Store) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                if let Some(result) = found(&self.store.lock().expect("not poisoned")) {
                    return result;
                }
                changes.changed().await.expect("the server lives");
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| {
                let store = self.store.lock().expect("not poisoned");
                panic!(
                    "never: {what}\n{:#?}",
                    store.objects.values().collect::<Vec<_>>()
                )
            })
    }

    pub fn put(&self, plural: &str, object: Value) {
        self.with(|store| store.put(plural, object));
    }

    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let id = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.with(|store| store.remove(&id));
    }

    /// Ends all watches, and forgets what happened so far.
    pub fn compact(&self) {
        self.with(|store| {
            store.version += 1;
            store.oldest = store.version;
            store.epoch += 1;
        });
    }
}

impl Store {
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects
            .get(&(plural.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    fn put(&mut self, plural: &str, mut object: Value) -> Value {
        let text = |object: &Value, field: &str| {
            object["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let id = (
            plural.to_owned(),
            text(&object, "namespace"),
            text(&object, "name"),
        );
        let old = self.objects.get(&id).cloned();
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        let generation = old
            .as_ref()
            .map_or(0, |old| old["metadata"]["generation"].as_u64().unwrap_or(0));
        let kept = |field: &str| old.as_ref().map(|old| old["metadata"][field].clone());
        self.uids += 1;
        let fresh = json!(format!("uid-{}", self.uids));
        metadata.insert("uid".into(), kept("uid").unwrap_or(fresh));
        let created = format!("2026-01-01T00:00:{:02}Z", self.uids % 60);
        metadata
            .entry("creationTimestamp")
            .or_insert_with(|| kept("creationTimestamp").unwrap_or(json!(created)));
        metadata.remove("resourceVersion");
        metadata.insert("generation".into(), json!(generation));
        let same_spec = old
            .as_ref()
            .is_some_and(|old| old["spec"] == object["spec"]);
        if !same_spec {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        let mut before = old.clone().unwrap_or_default();
        if let Some(metadata) = before["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        // Writing what is there already changes nothing and wakes nobody.
        if before == object {
            return old.unwrap_or_default();
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.history
            .push((self.version, kind, object.clone(), plural.to_owned()));
        self.objects.insert(id, object.clone());
        object
    }

    fn remove(&mut self, id: &Id) {
        let Some(mut object) = self.objects.remove(id) else {
            return;
        };
        self.applied.retain(|(applied, _), _| applied != id);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history
            .push((self.version, "DELETED", object.clone(), id.0.clone()));
        let owned: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, other)| {
                other["metadata"]["ownerReferences"][0]["uid"] == object["metadata"]["uid"]
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in owned {
            self.remove(&id);
        }
    }

    /// Fields that the manager applied before and leaves out now go; what it applies now comes; others stay.
    fn apply(&mut self, id: &Id, manager: &str, mut wanted: Value) -> Value {
        let mut object = self.objects.get(id).cloned().unwrap_or_else(|| json!({}));
        let key = (id.clone(), manager.to_owned());
        if let Some(before) = self.applied.insert(key, wanted.clone()) {
            prune(&mut object, &before, &wanted);
        }
        merge(&mut object, &mut wanted);
        if id.0 == "deployments" {
            object["spec"]
                .as_object_mut()
                .expect("a spec")
                .entry("replicas")
                .or_insert(json!(1));
        }
        let object = self.put(&id.0, object);
        // Whose owner went in this very moment goes, too, as the cluster's garbage collector sees to.
        let owner = &object["metadata"]["ownerReferences"][0]["uid"];
        let has_owner = |other: &Value| other["metadata"]["uid"] == *owner;
        if owner.is_string() && !self.objects.values().any(has_owner) {
            self.remove(id);
        }
        object
    }
}

fn prune(object: &mut Value, before: &Value, wanted: &Value) {
    let (Some(fields), Some(before)) = (object.as_object_mut(), before.as_object()) else {
        return;
    };
    for (field, old) in before {
        match wanted.get(field) {
            None => {
                fields.remove(field);
            }
            Some(wanted) => {
                if let Some(inner) = fields.get_mut(field) {
                    prune(inner, old, wanted);
                }
            }
        }
    }
}

fn merge(object: &mut Value, wanted: &mut Value) {
    match (object.as_object_mut(), wanted.as_object_mut()) {
        (Some(object), Some(wanted)) => {
            for (field, value) in wanted {
                merge(object.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *object = wanted.take(),
    }
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    answer(code, &body)
}

fn answer(code: StatusCode, body: &Value) -> Response {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a response")
}

struct Target {
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    is_status: bool,
}

fn target(path: &str) -> Option<Target> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let prefix = if parts[0] == "api" { 2 } else { 3 };
    parts.drain(..prefix.min(parts.len()));
    let namespace = (parts.first() == Some(&"namespaces") && parts.len() > 2).then(|| {
        parts.remove(0);
        parts.remove(0).to_owned()
    });
    Some(Target {
        plural: (*parts.first()?).to_owned(),
        namespace,
        name: parts.get(1).map(|name| (*name).to_owned()),
        is_status: parts.get(2) == Some(&"status"),
    })
}

async fn handle(
    State(server): State<ApiServer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let url = url::Url::parse(&format!("http://x{uri}")).expect("a URL");
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let is_broken = server.with(|store| {
        let is_broken = store.broken > 0;
        store.broken = store.broken.saturating_sub(1);
        is_broken
    });
    if is_broken {
        return status(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "not now");
    }
    let Some(target) = target(url.path()) else {
        let is_keda = url.path() == "/apis/keda.sh/v1alpha1";
        return if is_keda && server.with(|store| store.has_keda) {
            answer(StatusCode::OK, &json!({ "kind": "APIResourceList" }))
        } else {
            status(StatusCode::NOT_FOUND, "NotFound", "no such group")
        };
    };
    server.with(|store| store.requests.push(format!("{method} {}", target.plural)));
    if query.contains_key("watch") {
        return watching(server, target, &query);
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    server.with(|store| match (&method, &target.name) {
        (&Method::GET, Some(_)) => match store.objects.get(&id(&target, &body)) {
            Some(object) => answer(StatusCode::OK, object),
            None => status(StatusCode::NOT_FOUND, "NotFound", "not found"),
        },
        (&Method::GET, None) => list(store, &target, &query),
        (&Method::POST, None) => {
            if store.objects.contains_key(&id(&target, &body)) {
                return status(StatusCode::CONFLICT, "AlreadyExists", "exists");
            }
            answer(StatusCode::CREATED, &store.put(&target.plural, body))
        }
        (&Method::PATCH, Some(_)) => {
            assert_eq!(headers["content-type"], "application/apply-patch+yaml");
            if store.refused.contains(&target.plural) {
                return status(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    "spec: Invalid value",
                );
            }
            if target.plural == "scaledobjects" && !store.has_keda {
                return status(StatusCode::NOT_FOUND, "NotFound", "no such kind");
            }
            let manager = query["fieldManager"].clone();
            answer(
                StatusCode::OK,
                &store.apply(&id(&target, &body), &manager, body),
            )
        }
        (&Method::PUT, Some(_)) => replace(store, &target, body),
        (&Method::DELETE, Some(_)) => {
            let id = id(&target, &body);
            let found = store
                .objects
                .get(&id)
                .map(|object| &object["metadata"]["uid"]);
            match found {
                None => status(StatusCode::NOT_FOUND, "NotFound", "not found"),
                Some(uid) if *uid != body["preconditions"]["uid"] => {
                    status(StatusCode::CONFLICT, "Conflict", "another object")
                }
                Some(_) => {
                    store.remove(&id);
                    answer(StatusCode::OK, &json!({}))
                }
            }
        }
        _ => status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "no"),
    })
}

fn id(target: &Target, body: &Value) -> Id {
    let name = target
        .name
        .clone()
        .or_else(|| body["metadata"]["name"].as_str().map(str::to_owned));
    (
        target.plural.clone(),
        target.namespace.clone().unwrap_or_default(),
        name.unwrap_or_default(),
    )
}

fn replace(store: &mut Store, target: &Target, body: Value) -> Response {
    let Some(old) = store.objects.get(&id(target, &body)).cloned() else {
        return status(StatusCode::NOT_FOUND, "NotFound", "not found");
    };
    if old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
        return status(
            StatusCode::CONFLICT,
            "Conflict",
            "the object has been modified",
        );
    }
    // Each of the two doors changes its own half.
    let (mut object, half) = if target.is_status {
        (old, "status")
    } else {
        (old, "spec")
    };
    object[half] = body[half].clone();
    answer(StatusCode::OK, &store.put(&target.plural, object))
}

fn matches(
    target: &Target,
    query: &BTreeMap<String, String>,
    plural: &str,
    object: &Value,
) -> bool {
    let namespace = object["metadata"]["namespace"].as_str();
    plural == target.plural
        && (target.namespace.is_none() || target.namespace.as_deref() == namespace)
        && query
            .get("labelSelector")
            .is_none_or(|label| object["metadata"]["labels"][label.as_str()].is_string())
}

fn list(store: &Store, target: &Target, query: &BTreeMap<String, String>) -> Response {
    let from: usize = query
        .get("continue")
        .map_or(0, |token| token.parse().expect("our own token"));
    let items: Vec<&Value> = store
        .objects
        .iter()
        .filter(|(id, object)| matches(target, query, &id.0, object))
        .map(|(_, object)| object)
        .collect();
    let page: Vec<&Value> = items.iter().skip(from).take(PAGE).copied().collect();
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), json!(store.version.to_string()));
    if from + page.len() < items.len() {
        metadata.insert("continue".into(), json!((from + page.len()).to_string()));
    }
    answer(
        StatusCode::OK,
        &json!({ "metadata": metadata, "items": page }),
    )
}

/// Lines of what happened since a version and of what happens from now on, until the watches are ended.
fn watching(server: ApiServer, target: Target, query: &BTreeMap<String, String>) -> Response {
    let from: u64 = query["resourceVersion"].parse().expect("our own version");
    let query = query.clone();
    let (sender, receiver) =
        tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(16);
    tokio::spawn(async move {
        let mut changes = server.changed.subscribe();
        let (epoch, is_old) = {
            let store = server.store.lock().expect("not poisoned");
            (store.epoch, from < store.oldest)
        };
        let line = |kind: &str, object: &Value| {
            Ok(Bytes::from(format!(
                "{}\n",
                json!({ "type": kind, "object": object })
            )))
        };
        if is_old {
            let gone =
                json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old" });
            let _ = sender.send(line("ERROR", &gone)).await;
            return;
        }
        let mut last = from;
        loop {
            let (news, is_over): (Vec<_>, bool) = {
                let store = server.store.lock().expect("not poisoned");
                let news = store
                    .history
                    .iter()
                    .filter(|(version, _, object, plural)| {
                        *version > last && matches(&target, &query, plural, object)
                    })
                    .map(|(version, kind, object, _)| (*version, *kind, object.clone()))
                    .collect();
                (news, store.epoch != epoch)
            };
            for (version, kind, object) in news {
                last = version;
                if sender.send(line(kind, &object)).await.is_err() {
                    return;
                }
                let bookmark = json!({ "metadata": { "resourceVersion": version.to_string() } });
                let _ = sender.send(line("BOOKMARK", &bookmark)).await;
            }
            if is_over {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    });
    let stream = Lines(receiver);
    Response::new(Body::from_stream(stream))
}

struct Lines(tokio::sync::mpsc::Receiver<Result<Bytes, std::convert::Infallible>>);

impl futures::Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
