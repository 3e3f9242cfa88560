//! A bucket of a test's own on the S3 server that `TEST_S3_URL` names.

use hub::{BlobConfig, S3Config};

/// Makes a bucket; the configuration by which a hub uses it.
pub async fn create() -> BlobConfig {
    let endpoint = std::env::var("TEST_S3_URL").unwrap_or_else(|_| {
        panic!("TEST_S3_URL is not set: `cargo xtask test` starts a server and sets it")
    });
    let bucket = format!("hub-test-{:016x}", rand::random::<u64>());
    let url = format!("{}/{bucket}", endpoint.trim_end_matches('/'));
    // The test server checks no signature; it wants the header to name a region.
    let credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";
    // The hub installs it as well, but is not there yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let response = reqwest::Client::new()
        .put(url)
        .header("authorization", credential)
        .send()
        .await
        .expect("the S3 server answers");
    assert!(
        response.status().is_success(),
        "cannot make a bucket: {}",
        response.status()
    );
    BlobConfig::S3(S3Config {
        bucket,
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.parse().expect("TEST_S3_URL is a URL")),
        access_key_id: "test".to_owned(),
        secret_access_key: hub::auth::Secret::new("test-secret".to_owned()),
        prefix: "packages".to_owned(),
        presign_seconds: 60,
    })
}
