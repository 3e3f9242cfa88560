//! Where the browser goes after signing in: a path of this hub, never another site.

/// A path with or without a query, on this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

const LENGTH_MAX: usize = 512;

impl ReturnTo {
    /// Accepts a path that every browser takes for one of the same origin: one slash at its
    /// beginning, no backslash (browsers read it as a slash), printable ASCII only (control
    /// characters are cut out by browsers, and so could hide a second slash).
    pub fn parse(text: &str) -> Option<Self> {
        let local = text.starts_with('/') && !text.starts_with("//");
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        (local && plain && text.len() <= LENGTH_MAX).then(|| Self(text.to_owned()))
    }

    /// The device page.
    pub fn device_page() -> Self {
        Self("/device".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::ReturnTo;

    #[test]
    fn only_paths_of_this_hub_are_accepted() {
        for good in ["/", "/device", "/device?user_code=ABCD-EFGH", "/a//b"] {
            assert!(ReturnTo::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "device",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "/é",
            " /device",
        ] {
            assert!(ReturnTo::parse(bad).is_none(), "{bad:?}");
        }
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(600))).is_none());
    }

    proptest! {
        /// The `url` crate follows the same standard as browsers.
        #[test]
        fn whatever_is_accepted_stays_on_the_hub(text in "[/\\\\?#@:.a-z\\t\\n ]{0,20}") {
            let base = Url::parse("https://hub.example.com/api/v1/auth/oidc/callback").unwrap();
            if let Some(path) = ReturnTo::parse(&text) {
                let target = base.join(path.as_str()).unwrap();
                prop_assert_eq!(target.origin(), base.origin());
            }
        }
    }
}
