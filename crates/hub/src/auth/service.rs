//! What all of authentication shares: configuration, database, clock, keys, caches. Handlers
//! take it from the application's state.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use hub_db::Db;
use hub_model::{Clock, TenantId};

use super::api_tokens::ApiTokenCache;
use super::config::AuthConfig;
use super::oidc::{OidcClient, OidcStartError};
use super::password::{PasswordCostError, PasswordHasher};
use super::sessions::SessionCache;
use super::signing::{Signer, SignerError};
use super::throttle::Throttle;
use crate::rate_limit::{AddressConfig, ClientAddress};

/// What [`AuthService::new`] is built from besides its configuration.
pub struct AuthParts {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    /// The address that clients use, without a slash at the end.
    pub public_base: String,
    /// Where the hub keeps its own files; the signing keys are made there.
    pub data_folder: PathBuf,
    /// Where a client's address comes from.
    pub addresses: AddressConfig,
}

/// Authentication and accounts.
pub struct AuthService {
    pub(super) config: AuthConfig,
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) public_base: String,
    pub(super) signer: Signer,
    pub(super) passwords: PasswordHasher,
    /// Failed sign-ins.
    pub(super) sign_ins: Throttle,
    /// API tokens and device codes that do not exist.
    pub(super) guesses: Throttle,
    /// Wrong codes on the device page.
    pub(super) user_codes: Throttle,
    pub(super) sessions: SessionCache,
    pub(super) api_tokens: ApiTokenCache,
    pub(super) oidc: Option<OidcClient>,
    addresses: AddressConfig,
}

/// Why authentication cannot start. No variant shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum AuthStartError {
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    PasswordCost(#[from] PasswordCostError),
    #[error(transparent)]
    Oidc(#[from] OidcStartError),
    #[error(
        "`auth.registration` is open on a private hub: then anybody could read it; close one of the two"
    )]
    OpenPrivateHub,
}

impl AuthService {
    /// Reads or makes the signing keys and prepares everything. Speaks to nobody yet: an OIDC
    /// provider that is away does not keep the hub from starting.
    pub fn new(config: AuthConfig, parts: AuthParts) -> Result<Self, AuthStartError> {
        use super::config::Registration;
        if config.private && config.registration == Some(Registration::Open) {
            return Err(AuthStartError::OpenPrivateHub);
        }
        let AuthParts {
            db,
            clock,
            public_base,
            data_folder,
            addresses,
        } = parts;
        let issuer = config.issuer.clone().unwrap_or_else(|| public_base.clone());
        let key_file = data_folder.join("signing-keys.json");
        let signer = Signer::new(&config, issuer, key_file, Arc::clone(&clock))?;
        let oidc = config
            .oidc
            .clone()
            .map(|oidc| OidcClient::new(oidc, &public_base, Arc::clone(&clock)));
        Ok(Self {
            signer,
            passwords: PasswordHasher::new(&config.password)?,
            sign_ins: Throttle::new(&config.throttle, Arc::clone(&clock)),
            user_codes: Throttle::new(&config.throttle, Arc::clone(&clock)),
            guesses: Throttle::for_guesses(Arc::clone(&clock)),
            sessions: SessionCache::new(config.revocation_delay_seconds),
            api_tokens: ApiTokenCache::new(config.revocation_delay_seconds),
            oidc: oidc.transpose()?,
            config,
            db,
            clock,
            public_base,
            addresses,
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> &AuthConfig {
        &self.config
    }

    /// Replaces the signing key once it has reached `auth.signing_key_days`; tokens that were
    /// signed with it stay valid. Does nothing for configured secrets. To be called now and then,
    /// where blocking on the file system is allowed.
    pub fn rotate_signing_key_if_due(&self) -> Result<(), SignerError> {
        self.signer.rotate_if_due()
    }

    /// Replaces the signing key now, for an operator who fears that it leaked. Tokens that were
    /// signed with it stay valid until they expire: to end them too, remove the key file and
    /// start again.
    pub fn rotate_signing_key(&self) -> Result<(), SignerError> {
        self.signer.rotate()
    }

    /// The tenant that accounts belong to. There is one until tenancy is switched on.
    pub(super) fn tenant(&self) -> TenantId {
        TenantId::DEFAULT
    }

    /// What stands between the origin and the hub's own paths, without a slash at the end.
    pub(super) fn base_path(&self) -> &str {
        let after_scheme = self
            .public_base
            .split_once("://")
            .map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| &after_scheme[at..])
    }

    /// Whether browsers reach the hub over TLS, so that cookies may demand it.
    pub(super) fn is_https(&self) -> bool {
        self.public_base.starts_with("https://")
    }

    pub(super) fn client_address(
        &self,
        headers: &HeaderMap,
        extensions: &http::Extensions,
    ) -> ClientAddress {
        self.addresses.client_address(headers, extensions)
    }
}
