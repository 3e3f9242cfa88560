//! The addresses that answers point to, under the hub's public URL.

/// The media type of a package that was uploaded as zip.
pub const ZIP: &str = "application/zip";

/// Builds absolute links. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links(std::sync::Arc<str>);

impl Links {
    /// `base` without a slash at the end.
    pub fn new(base: &str) -> Self {
        Self(base.into())
    }

    /// The hub's own address, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.0
    }

    /// The archive's permanent, cacheable address. A `+` is written `%2B`:
    /// object stores and some proxies read a bare one as a space.
    pub fn archive(&self, name: &str, version: &str, media_type: &str) -> String {
        let extension = extension(media_type);
        format!(
            "{}/packages/{name}-{}.{extension}",
            self.0,
            version.replace('+', "%2B")
        )
    }

    /// One release's metadata.
    pub fn release(&self, name: &str, version: &str) -> String {
        format!(
            "{}/api/v1/skills/{name}/{}",
            self.0,
            version.replace('+', "%2B")
        )
    }
}

/// The file name that an archive is saved under.
pub fn file_name(name: &str, version: &str, media_type: &str) -> String {
    format!("{name}-{version}.{}", extension(media_type))
}

fn extension(media_type: &str) -> &'static str {
    if media_type == ZIP { "zip" } else { "spm" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_metadata_survives_an_object_store() {
        let links = Links::new("https://hub.example.com");
        assert_eq!(
            links.archive("a", "1.0.0+b", "application/gzip"),
            "https://hub.example.com/packages/a-1.0.0%2Bb.spm"
        );
        assert_eq!(
            links.archive("a", "1.0.0", ZIP),
            "https://hub.example.com/packages/a-1.0.0.zip"
        );
    }
}
