-- Skills run through the gateway, and what that came to per account and day.
--
-- Types and spelling as in the first migration. `input` and `output` hold text with a `t` before it, or base64 with a
-- `b` before it where the bytes are no text.

CREATE TABLE invocations (
    id              TEXT   NOT NULL PRIMARY KEY,
    tenant_id       TEXT   NOT NULL REFERENCES tenants (id),
    user_id         TEXT   NOT NULL REFERENCES users (id),
    skill_id        TEXT   NOT NULL REFERENCES skills (id),
    skill           TEXT   NOT NULL,
    version         TEXT,
    entry           TEXT,
    status          TEXT   NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'unknown', 'cancelled')),
    timeout_ms      BIGINT NOT NULL,
    input_sha256    TEXT   NOT NULL,
    input_bytes     BIGINT NOT NULL,
    input           TEXT,   -- null once it is over
    output          TEXT,
    output_bytes    BIGINT,
    error_code      TEXT,
    error           TEXT,
    attempts        BIGINT NOT NULL,
    idempotency_key TEXT,
    request_hash    TEXT   NOT NULL,
    lease_until     BIGINT, -- when another replica may take it over; null once it is over
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    CONSTRAINT invocations_key UNIQUE (tenant_id, user_id, idempotency_key)
);
CREATE INDEX invocations_by_user ON invocations (user_id, id);
CREATE INDEX invocations_by_skill ON invocations (skill_id);
CREATE INDEX invocations_by_lease ON invocations (lease_until);
CREATE INDEX invocations_by_end ON invocations (finished_at);

-- `refused`: nothing ran. The other counts, the time and the bytes are of what ran.
CREATE TABLE usage_days (
    tenant_id   TEXT   NOT NULL REFERENCES tenants (id),
    user_id     TEXT   NOT NULL REFERENCES users (id),
    day         BIGINT NOT NULL,
    succeeded   BIGINT NOT NULL,
    failed      BIGINT NOT NULL,
    unknown     BIGINT NOT NULL,
    refused     BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    bytes_in    BIGINT NOT NULL,
    bytes_out   BIGINT NOT NULL,
    PRIMARY KEY (user_id, day)
);
CREATE INDEX usage_days_by_tenant ON usage_days (tenant_id, day);
