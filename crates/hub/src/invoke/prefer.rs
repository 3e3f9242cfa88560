//! The `Prefer` header (RFC 7240), as far as it concerns waiting.

use std::time::Duration;

use http::HeaderMap;

/// How the caller would like to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Prefer {
    pub respond_async: bool,
    pub wait: Option<Duration>,
}

impl Prefer {
    /// Reads all `Prefer` headers. What cannot be understood is ignored, and of two preferences of the same name the
    /// first counts, as §2 has it.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let mut waits = false;
        let values = headers.get_all("prefer").iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        for preference in texts.flat_map(|text| text.split(',')) {
            // Parameters after a semicolon mean nothing for these two.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => prefer.respond_async = true,
                "wait" if !waits => {
                    waits = true;
                    prefer.wait = value.parse().ok().map(Duration::from_secs);
                }
                _ => {}
            }
        }
        prefer
    }

    /// How long to wait for the result before answering 202; `None` is until it is there.
    pub fn patience(self) -> Option<Duration> {
        match (self.respond_async, self.wait) {
            (_, Some(wait)) => Some(wait),
            (true, None) => Some(Duration::ZERO),
            (false, None) => None,
        }
    }

    /// What `Preference-Applied` says (§3) when the answer came before the result.
    pub fn applied(self) -> Option<String> {
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        match (self.respond_async, wait) {
            (true, Some(wait)) => Some(format!("respond-async, {wait}")),
            (true, None) => Some("respond-async".to_owned()),
            (false, wait) => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().expect("a header value"));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn preferences_are_read_as_the_rfc_writes_them() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (values, respond_async, wait) in [
            (&[] as &[&str], false, None),
            (&["respond-async"], true, None),
            (&["respond-async, wait=10"], true, seconds(10)),
            (&["Respond-Async", "Wait = \"5\""], true, seconds(5)),
            (
                &["return=minimal; foo=\"some parameter\", wait=0"],
                false,
                seconds(0),
            ),
            (&["wait=1, wait=2"], false, seconds(1)),
            (&["wait=soon", "wait"], false, None),
            (&["wait=-1"], false, None),
        ] {
            let prefer = of(values);
            assert_eq!(
                (prefer.respond_async, prefer.wait),
                (respond_async, wait),
                "{values:?}"
            );
        }
    }

    #[test]
    fn patience_follows() {
        assert_eq!(of(&[]).patience(), None);
        assert_eq!(of(&["respond-async"]).patience(), Some(Duration::ZERO));
        let both = of(&["respond-async, wait=3"]);
        assert_eq!(both.patience(), Some(Duration::from_secs(3)));
        assert_eq!(both.applied().as_deref(), Some("respond-async, wait=3"));
    }
}
