//! Blobs in a bucket of S3 or Google Cloud Storage.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::Method;
use jiff::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload};
use skill_format::Sha256;
use url::Url;

use super::{BlobBody, BlobEntry, BlobError, digest_of, key_of};
use crate::config::{GcsConfig, S3Config};

pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    signer: Arc<dyn Signer>,
    prefix: String,
    presign: Duration,
}

impl Bucket {
    pub(super) fn s3(config: &S3Config) -> Result<Self, BlobError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(config.secret_access_key.expose())
            .with_client_options(client_options());
        if let Some(endpoint) = &config.endpoint {
            builder = builder
                .with_endpoint(endpoint.as_str().trim_end_matches('/'))
                .with_allow_http(endpoint.scheme() == "http");
        }
        Ok(Self::of(
            builder.build()?,
            &config.prefix,
            config.presign_seconds,
        ))
    }

    pub(super) fn gcs(config: &GcsConfig) -> Result<Self, BlobError> {
        let store = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&config.bucket)
            .with_service_account_key(config.service_account_key.expose())
            .with_client_options(client_options())
            .build()?;
        Ok(Self::of(store, &config.prefix, config.presign_seconds))
    }

    fn of<S: ObjectStore + Signer>(store: S, prefix: &str, presign_seconds: u64) -> Self {
        let store = Arc::new(store);
        Self {
            signer: Arc::clone(&store) as Arc<dyn Signer>,
            store,
            prefix: prefix.trim_matches('/').to_owned(),
            presign: Duration::from_secs(presign_seconds),
        }
    }

    fn path(&self, digest: Sha256) -> Path {
        Path::from(format!("{}/{}", self.prefix, key_of(digest)))
    }

    pub(super) async fn put(&self, digest: Sha256, bytes: Bytes) -> Result<(), BlobError> {
        self.store
            .put(&self.path(digest), PutPayload::from_bytes(bytes))
            .await?;
        Ok(())
    }

    pub(super) async fn read(
        &self,
        digest: Sha256,
        range: Range<u64>,
    ) -> Result<BlobBody, BlobError> {
        let options = object_store::GetOptions {
            range: Some(object_store::GetRange::Bounded(range)),
            ..Default::default()
        };
        let found = self.store.get_opts(&self.path(digest), options).await;
        let found = found.map_err(missing(digest))?;
        Ok(BlobBody {
            stream: found.into_stream().map_err(BlobError::from).boxed(),
        })
    }

    pub(super) async fn read_all(&self, digest: Sha256) -> Result<Bytes, BlobError> {
        let found = self
            .store
            .get(&self.path(digest))
            .await
            .map_err(missing(digest))?;
        Ok(found.bytes().await?)
    }

    pub(super) async fn presigned(
        &self,
        digest: Sha256,
        media_type: &str,
        file_name: &str,
    ) -> Result<Url, BlobError> {
        let disposition = format!("attachment; filename=\"{file_name}\"");
        let options = SignedUrlOptions::default().with_query([
            ("response-content-type", media_type),
            ("response-content-disposition", disposition.as_str()),
        ]);
        let path = self.path(digest);
        Ok(self
            .signer
            .signed_url_opts(Method::GET, &path, self.presign, &options)
            .await?)
    }

    pub(super) async fn check(&self) -> Result<(), BlobError> {
        // Whether this object exists does not matter; that the bucket answers does.
        self.modified(Sha256::of(b"")).await.map(|_| ())
    }

    pub(super) fn list(&self) -> BoxStream<'_, Result<BlobEntry, BlobError>> {
        let root = Path::from(format!("{}/sha256", self.prefix));
        self.store
            .list(Some(&root))
            .try_filter_map(|object| async move {
                let digest = object.location.filename().and_then(digest_of);
                Ok(digest.map(|digest| BlobEntry {
                    digest,
                    modified: time_of(object.last_modified.timestamp_millis()),
                }))
            })
            .map_err(BlobError::from)
            .boxed()
    }

    pub(super) async fn modified(&self, digest: Sha256) -> Result<Option<Timestamp>, BlobError> {
        match self.store.head(&self.path(digest)).await {
            Ok(object) => Ok(Some(time_of(object.last_modified.timestamp_millis()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn delete(&self, digest: Sha256) -> Result<(), BlobError> {
        match self.store.delete(&self.path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A bucket that does not answer must not hold a request for the default minutes.
fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(60))
}

fn missing(digest: Sha256) -> impl Fn(object_store::Error) -> BlobError {
    move |error| match error {
        object_store::Error::NotFound { .. } => BlobError::Missing(digest),
        other => other.into(),
    }
}

fn time_of(epoch_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(epoch_ms).unwrap_or(Timestamp::MAX)
}
