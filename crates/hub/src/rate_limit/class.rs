//! Which quota a request is charged to. Knows URLs only by how they begin and end.

use http::Method;

/// The kinds of request that have a quota of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Metadata and archives.
    Read,
    /// Full-text search.
    Search,
    /// Changes.
    Write,
    /// Everything that tries a credential.
    Auth,
    /// Running a skill.
    Invoke,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 5] = [
        Class::Read,
        Class::Search,
        Class::Write,
        Class::Auth,
        Class::Invoke,
    ];

    /// The name in headers, metrics and Redis keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Search => "search",
            Class::Write => "write",
            Class::Auth => "auth",
            Class::Invoke => "invoke",
        }
    }

    /// The class of a request, or `None` for the probes that a load balancer and Prometheus send.
    pub fn of(method: &Method, path: &str, query: Option<&str>) -> Option<Class> {
        if matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return None;
        }
        let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if tries_credential(path, safe) {
            return Some(Class::Auth);
        }
        if !safe && path.starts_with("/api/v1/skills/") && path.ends_with("/invoke") {
            return Some(Class::Invoke);
        }
        if !safe {
            return Some(Class::Write);
        }
        if path == "/api/v1/search" || (path == "/api/v1/skills" && has_search(query)) {
            return Some(Class::Search);
        }
        Some(Class::Read)
    }
}

fn tries_credential(path: &str, safe: bool) -> bool {
    if path == "/device" || path.starts_with("/api/v1/auth/oidc/") {
        return true;
    }
    !safe && path.starts_with("/api/v1/auth/")
}

fn has_search(query: Option<&str>) -> bool {
    query.is_some_and(|q| q.split('&').any(|pair| pair.starts_with("search=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fall_into_their_class() {
        let of = |method: Method, path: &str| {
            let (path, query) = path
                .split_once('?')
                .map_or((path, None), |(p, q)| (p, Some(q)));
            Class::of(&method, path, query)
        };
        assert_eq!(of(Method::GET, "/healthz"), None);
        assert_eq!(of(Method::GET, "/metrics"), None);
        assert_eq!(of(Method::GET, "/api/v1/skills"), Some(Class::Read));
        assert_eq!(of(Method::HEAD, "/packages/a-1.0.0.spm"), Some(Class::Read));
        assert_eq!(
            of(Method::GET, "/api/v1/skills?search=csv"),
            Some(Class::Search)
        );
        assert_eq!(
            of(Method::GET, "/api/v1/skills?limit=5&search=csv"),
            Some(Class::Search)
        );
        assert_eq!(of(Method::GET, "/api/v1/search?q=csv"), Some(Class::Search));
        assert_eq!(of(Method::POST, "/api/v1/skills"), Some(Class::Write));
        let invoke = "/api/v1/skills/csv-analyzer/invoke";
        assert_eq!(of(Method::POST, invoke), Some(Class::Invoke));
        assert_eq!(of(Method::GET, invoke), Some(Class::Read));
        assert_eq!(of(Method::POST, "/api/v1/auth/login"), Some(Class::Auth));
        assert_eq!(of(Method::GET, "/api/v1/auth/me"), Some(Class::Read));
        assert_eq!(
            of(Method::GET, "/api/v1/auth/oidc/callback?code=x"),
            Some(Class::Auth)
        );
        assert_eq!(of(Method::GET, "/device"), Some(Class::Auth));
        assert_eq!(of(Method::POST, "/device"), Some(Class::Auth));
    }
}
