-- The catalogue: tenants, accounts, skills, versions, and the outbox.
--
-- One text for SQLite and PostgreSQL. Only these types: TEXT (compared bytewise on both; PostgreSQL's collation is
-- added when the text is run), BIGINT, and nothing else. Times are epoch milliseconds, days are days since
-- 1970-01-01, booleans are 0 or 1, JSON is TEXT, ids are hyphenated UUIDs, digests are hex without a prefix.

CREATE TABLE tenants (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT tenants_name UNIQUE (name)
);
INSERT INTO tenants (id, name, created_at) VALUES ('00000000-0000-0000-0000-000000000001', 'default', 0);

-- The last sequence number of the outbox. The row's lock is what makes that order the order of commits.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0);

CREATE TABLE tenant_stats (
    tenant_id  TEXT   NOT NULL PRIMARY KEY REFERENCES tenants (id),
    skills     BIGINT NOT NULL DEFAULT 0,
    versions   BIGINT NOT NULL DEFAULT 0,
    downloads  BIGINT NOT NULL DEFAULT 0,
    publishers BIGINT NOT NULL DEFAULT 0
);

-- Values that the hub makes once and every replica must share, such as the key that signs access tokens.
CREATE TABLE settings (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name      TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE users (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL REFERENCES tenants (id),
    username     TEXT   NOT NULL,
    username_key TEXT   NOT NULL,
    email        TEXT,
    password     TEXT,
    role         TEXT   NOT NULL CHECK (role IN ('reader', 'publisher', 'admin')),
    disabled     BIGINT NOT NULL DEFAULT 0,
    published    BIGINT NOT NULL DEFAULT 0, -- whether this user is counted in tenant_stats.publishers
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    CONSTRAINT users_username UNIQUE (tenant_id, username_key)
);

CREATE TABLE oidc_identities (
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    CONSTRAINT oidc_identities_subject PRIMARY KEY (tenant_id, issuer, subject)
);
CREATE INDEX oidc_identities_by_user ON oidc_identities (user_id);

CREATE TABLE oidc_logins (
    state_hash TEXT   NOT NULL PRIMARY KEY,
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    nonce      TEXT   NOT NULL,
    verifier   TEXT   NOT NULL,
    next_step  TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX oidc_logins_by_expiry ON oidc_logins (expires_at);

CREATE TABLE refresh_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    family_id  TEXT   NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id),
    token_hash TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT,
    CONSTRAINT refresh_tokens_hash UNIQUE (token_hash)
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE api_tokens (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL REFERENCES tenants (id),
    user_id      TEXT   NOT NULL REFERENCES users (id),
    name         TEXT   NOT NULL,
    token_hash   TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    skills       TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT,
    CONSTRAINT api_tokens_hash UNIQUE (token_hash)
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, id);

CREATE TABLE device_codes (
    id               TEXT   NOT NULL PRIMARY KEY,
    tenant_id        TEXT   NOT NULL REFERENCES tenants (id),
    code_hash        TEXT   NOT NULL,
    user_code        TEXT   NOT NULL,
    client_name      TEXT   NOT NULL,
    state            TEXT   NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'redeemed')),
    user_id          TEXT   REFERENCES users (id),
    interval_seconds BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    last_polled_at   BIGINT,
    CONSTRAINT device_codes_hash UNIQUE (code_hash),
    CONSTRAINT device_codes_user_code UNIQUE (tenant_id, user_code)
);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);
CREATE INDEX device_codes_by_user ON device_codes (user_id);

CREATE TABLE keys (
    tenant_id     TEXT   NOT NULL REFERENCES tenants (id),
    fingerprint   TEXT   NOT NULL,
    user_id       TEXT   NOT NULL REFERENCES users (id),
    armored       TEXT   NOT NULL,
    registered_at BIGINT NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT,
    removed_at    BIGINT,
    CONSTRAINT keys_fingerprint PRIMARY KEY (tenant_id, fingerprint)
);
CREATE INDEX keys_by_user ON keys (user_id, registered_at);

-- `listed` is 1 while the skill has something to offer. Each order below begins with it: a list is a range of one of
-- these indices, and who filters a list need not look at the table.
CREATE TABLE skills (
    id                TEXT   NOT NULL PRIMARY KEY,
    tenant_id         TEXT   NOT NULL REFERENCES tenants (id),
    name              TEXT   NOT NULL,
    name_key          TEXT   NOT NULL,
    listed            BIGINT NOT NULL DEFAULT 0,
    downloads         BIGINT NOT NULL DEFAULT 0,
    rating_sum        BIGINT NOT NULL DEFAULT 0,
    rating_count      BIGINT NOT NULL DEFAULT 0,
    rating_rank       BIGINT NOT NULL DEFAULT 0, -- mean in millionths
    created_by        TEXT   NOT NULL REFERENCES users (id),
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    deprecated_at     BIGINT,
    deprecated        TEXT,
    latest_id         TEXT,
    latest_version    TEXT,
    latest_sha256     TEXT,
    latest_size       BIGINT,
    latest_media_type TEXT,
    about             TEXT   NOT NULL,
    CONSTRAINT skills_name UNIQUE (tenant_id, name_key)
);
-- By name, listed or not. The name first, so that no planner takes it for the order of a tenant's list.
CREATE UNIQUE INDEX skills_by_exact_name ON skills (name, tenant_id);
CREATE INDEX skills_by_name ON skills (tenant_id, listed, name, id);
CREATE INDEX skills_by_downloads ON skills (tenant_id, listed, downloads, id);
CREATE INDEX skills_by_rating ON skills (tenant_id, listed, rating_rank, rating_count, id);
CREATE INDEX skills_by_update ON skills (tenant_id, listed, updated_at, id);
CREATE INDEX skills_by_creator ON skills (created_by);

-- `identity` is the version without build metadata: what is never used twice, deleted or not.
-- `precedence` compares bytewise as semantic versions do.
CREATE TABLE versions (
    id               TEXT   NOT NULL PRIMARY KEY,
    tenant_id        TEXT   NOT NULL REFERENCES tenants (id),
    skill_id         TEXT   NOT NULL REFERENCES skills (id),
    version          TEXT   NOT NULL,
    identity         TEXT   NOT NULL,
    precedence       TEXT   NOT NULL,
    prerelease       BIGINT NOT NULL,
    state            TEXT   NOT NULL CHECK (state IN ('active', 'yanked', 'deleted')),
    yank_reason      TEXT,
    state_changed_at BIGINT,
    sha256           TEXT   NOT NULL,
    size             BIGINT NOT NULL,
    media_type       TEXT   NOT NULL,
    content_digest   TEXT   NOT NULL,
    signer           TEXT,
    published_by     TEXT   NOT NULL REFERENCES users (id),
    published_at     BIGINT NOT NULL,
    downloads        BIGINT NOT NULL DEFAULT 0,
    dependencies     TEXT   NOT NULL,
    about            TEXT   NOT NULL,
    signature        TEXT,
    manifest         TEXT   NOT NULL,
    body             TEXT   NOT NULL,
    CONSTRAINT versions_identity UNIQUE (skill_id, identity)
);
CREATE INDEX versions_by_precedence ON versions (skill_id, precedence);
CREATE INDEX versions_by_archive ON versions (sha256);
CREATE INDEX versions_by_signer ON versions (tenant_id, signer);
CREATE INDEX versions_by_publisher ON versions (published_by);

CREATE TABLE dependencies (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    version_id TEXT NOT NULL REFERENCES versions (id),
    name_key   TEXT NOT NULL, -- of the skill depended on, which need not exist
    name       TEXT NOT NULL,
    wanted     TEXT NOT NULL,
    PRIMARY KEY (version_id, name_key)
);
CREATE INDEX dependencies_by_name ON dependencies (tenant_id, name_key, version_id);

CREATE TABLE skill_owners (
    tenant_id TEXT   NOT NULL REFERENCES tenants (id),
    skill_id  TEXT   NOT NULL REFERENCES skills (id),
    user_id   TEXT   NOT NULL REFERENCES users (id),
    added_by  TEXT   NOT NULL REFERENCES users (id),
    added_at  BIGINT NOT NULL,
    CONSTRAINT skill_owners_user PRIMARY KEY (skill_id, user_id)
);
CREATE INDEX skill_owners_by_user ON skill_owners (user_id, skill_id);

CREATE TABLE skill_tags (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    tag       TEXT NOT NULL,
    skill_id  TEXT NOT NULL REFERENCES skills (id),
    PRIMARY KEY (tenant_id, tag, skill_id)
);
CREATE INDEX skill_tags_by_skill ON skill_tags (skill_id, tag);

-- How many listed skills carry each tag; kept with every change of skill_tags.
CREATE TABLE tags (
    tenant_id TEXT   NOT NULL REFERENCES tenants (id),
    tag       TEXT   NOT NULL,
    skills    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, tag)
);
CREATE INDEX tags_by_count ON tags (tenant_id, skills DESC, tag);

CREATE TABLE ratings (
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    skill_id   TEXT   NOT NULL REFERENCES skills (id),
    user_id    TEXT   NOT NULL REFERENCES users (id),
    rating     BIGINT NOT NULL CHECK (rating BETWEEN 1 AND 5),
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (skill_id, user_id)
);
CREATE INDEX ratings_by_user ON ratings (user_id);
CREATE INDEX ratings_by_update ON ratings (skill_id, updated_at, user_id);

CREATE TABLE download_days (
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    skill_id   TEXT   NOT NULL REFERENCES skills (id),
    version_id TEXT   NOT NULL REFERENCES versions (id),
    day        BIGINT NOT NULL,
    downloads  BIGINT NOT NULL,
    PRIMARY KEY (skill_id, day, version_id)
);
CREATE INDEX download_days_by_version ON download_days (version_id);

-- The outbox. Append-only; `seq` has no gaps and grows in the order of commits.
CREATE TABLE events (
    seq        BIGINT NOT NULL PRIMARY KEY,
    tenant_id  TEXT   NOT NULL REFERENCES tenants (id),
    kind       TEXT   NOT NULL,
    payload    TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX events_by_time ON events (created_at);

CREATE TABLE idempotency_keys (
    tenant_id    TEXT   NOT NULL REFERENCES tenants (id),
    principal    TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    request_hash TEXT   NOT NULL,
    claimed_until BIGINT NOT NULL,
    status       BIGINT, -- HTTP status of the stored response; null while in progress
    headers      TEXT,
    body         TEXT,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, principal, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
