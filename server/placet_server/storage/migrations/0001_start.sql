-- Portable SQL: the same text runs on SQLite and PostgreSQL. Times are integer milliseconds UTC, ids are text.
-- "sealed" columns hold AES-256-GCM ciphertext bound to table and row. For PostgreSQL the runner spells BLOB as BYTEA and
-- INTEGER PRIMARY KEY as BIGINT PRIMARY KEY, and leaves WITHOUT ROWID out: with it SQLite keeps one tree, not two.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- "sealed" is the secret that signs what goes to the callback URLs of its requests.
CREATE TABLE applications (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    policies TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    last4 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- An application's account on a face other than the native one. Amounts are in 1/10,000; no balance: nothing is counted.
CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    face TEXT NOT NULL,
    sealed BLOB NOT NULL,
    balance BIGINT,
    price BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

-- What callers present there: two live at a time while one is replaced. "lookup" is a MAC of what identifies the secret.
CREATE TABLE credential_secrets (
    id TEXT PRIMARY KEY,
    credential TEXT NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    face TEXT NOT NULL,
    lookup BLOB NOT NULL,
    sealed BLOB NOT NULL,
    last4 TEXT NOT NULL,
    used BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    UNIQUE (face, lookup)
);
CREATE INDEX credential_secrets_of_credential ON credential_secrets (credential);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES organizations (id),
    tfa_id BIGINT NOT NULL,
    confirmed BIGINT NOT NULL DEFAULT 0,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (org, tfa_id)
);

-- Phones and e-mails by blind index: one of each spelling-free handle belongs to one user of an organization.
CREATE TABLE handles (
    org TEXT NOT NULL,
    handle BLOB NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (org, handle)
) WITHOUT ROWID;
CREATE INDEX handles_of_user ON handles (user_id);

-- "ask" is the approval request by which an active device allows a further one.
CREATE TABLE enrollments (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    application TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    token_hash BLOB NOT NULL,
    bad_tries BIGINT NOT NULL DEFAULT 0,
    check_tries BIGINT NOT NULL DEFAULT 0,
    device TEXT,
    ask TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    sealed BLOB
);
CREATE INDEX enrollments_of_user ON enrollments (user_id);
CREATE INDEX enrollments_unfinished ON enrollments (expires_at) WHERE status IN ('open', 'redeemed');

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    jkt TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL,
    status TEXT NOT NULL,
    ctr BIGINT NOT NULL DEFAULT 0,
    certificate TEXT NOT NULL,
    foreign_endpoint BIGINT NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX devices_of_user ON devices (user_id);

CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    application TEXT NOT NULL,
    user_id TEXT NOT NULL,
    tfa_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    device TEXT,
    seen_at BIGINT,
    sealed BLOB NOT NULL
);
CREATE INDEX approvals_pending_of_user ON approvals (user_id) WHERE status = 'pending';
CREATE INDEX approvals_pending_by_end ON approvals (expires_at) WHERE status = 'pending';

-- The server-signed document of a request: made once, before it first leaves the server, never made again.
CREATE TABLE documents (
    approval TEXT PRIMARY KEY REFERENCES approvals (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
);

CREATE TABLE decisions (
    approval TEXT PRIMARY KEY REFERENCES approvals (id) ON DELETE CASCADE,
    device TEXT NOT NULL,
    digest BLOB NOT NULL,
    document TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);

-- Fatigue counters per user and application, moved by conditional statements only (domain/pressure.py).
CREATE TABLE pressure (
    user_id TEXT NOT NULL,
    application TEXT NOT NULL,
    pending BIGINT NOT NULL,
    unapproved BIGINT NOT NULL,
    counted_at BIGINT NOT NULL,
    hold_factor BIGINT NOT NULL,
    not_me_until BIGINT NOT NULL,
    PRIMARY KEY (user_id, application)
) WITHOUT ROWID;

-- "device" is set where an enrolment gave the token: it counts once that device is active, and ends with it.
CREATE TABLE soft_tokens (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device TEXT,
    status TEXT NOT NULL,
    last_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    sealed BLOB NOT NULL
);
CREATE INDEX soft_tokens_of_user ON soft_tokens (user_id);

-- Consecutive failures by canonical subject, counted before the comparison that may fail.
CREATE TABLE throttles (
    subject BLOB PRIMARY KEY,
    failures BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;

-- One-time codes. "lookup" finds those of a user or destination, "subject" is what failures are counted under, "purpose"
-- and "ip" bind; all are keyed hashes. "mac" is all that is kept of the code itself, and only while it counts.
-- "erase_at" is first the end of the code and then, once its MAC is erased, the end of the row.
CREATE TABLE codes (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    owner TEXT NOT NULL,
    user_id TEXT,
    lookup BLOB NOT NULL,
    subject BLOB NOT NULL,
    prefix BLOB,
    purpose BLOB NOT NULL,
    ip BLOB,
    status TEXT NOT NULL,
    mac BLOB,
    key BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    tries_left BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    erase_at BIGINT NOT NULL,
    message TEXT,
    sealed BLOB NOT NULL
);
CREATE INDEX codes_of_lookup ON codes (lookup);
CREATE INDEX codes_to_erase ON codes (erase_at);

-- What a gateway carries to a person. "sealed" is the destination and the texts, until the message is carried or over;
-- "recipient" is the masked destination. "tried" names channel:gateway pairs. "due_at" is set while there is work to do.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    owner TEXT NOT NULL,
    code TEXT,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    channels TEXT NOT NULL,
    channel TEXT,
    gateway TEXT,
    reference TEXT,
    reason TEXT,
    parts BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    tried TEXT NOT NULL,
    due_at BIGINT,
    expires_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    recipient BLOB,
    sealed BLOB
);
CREATE INDEX messages_due ON messages (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX messages_to_end ON messages (expires_at) WHERE sealed IS NOT NULL;

-- Numbers whose person has answered a phone verification, under the keyed hash that codes to them are found by.
CREATE TABLE verified_numbers (
    subject BLOB PRIMARY KEY,
    at BIGINT NOT NULL
) WITHOUT ROWID;

-- Messages counted by destination, block of numbers, person's address and application, under keyed hashes of these.
CREATE TABLE budgets (
    subject BLOB PRIMARY KEY,
    spent BIGINT NOT NULL,
    counted_from BIGINT NOT NULL,
    day_spent BIGINT NOT NULL,
    day_from BIGINT NOT NULL,
    matched BIGINT NOT NULL,
    held_until BIGINT NOT NULL
) WITHOUT ROWID;

-- Codes that a user keeps for the day when nothing else works; each counts once.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    mac BLOB NOT NULL,
    key BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, mac)
) WITHOUT ROWID;

CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed BLOB NOT NULL
);

-- What has still to be delivered, committed with the change that caused it; a delivered row is deleted.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    target TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed BLOB,
    turn BIGINT NOT NULL DEFAULT 0  -- of an event: the place among those of its subject that are left
) WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (due_at);
CREATE INDEX outbox_webhooks_in_order ON outbox (subject, turn) WHERE kind = 'webhook';

-- What a device has confirmed to hold: an approval request or a notice.
CREATE TABLE acks (
    device TEXT NOT NULL,
    item TEXT NOT NULL,
    acked_at BIGINT NOT NULL,
    PRIMARY KEY (device, item)
) WITHOUT ROWID;

CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX notices_of_user ON notices (user_id);

CREATE TABLE idempotency (
    lookup BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    status BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    leaf BLOB NOT NULL
);

-- The id begins with the time, so its order is the order of time. "person" and "destination" are blind indexes in hex.
-- "code" is our word for a refusal, "told" the one that a foreign caller saw in its place.
CREATE TABLE api_log (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    face TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status BIGINT NOT NULL,
    code TEXT,
    ip TEXT NOT NULL,
    application TEXT,
    credential TEXT,
    took_us BIGINT NOT NULL,
    agent TEXT,
    subject TEXT,
    person TEXT,
    destination TEXT,
    sealed BLOB,
    told TEXT
) WITHOUT ROWID;
CREATE INDEX api_log_of_destination ON api_log (destination, id) WHERE destination IS NOT NULL;

-- How often an application did what in a month (months since January 1970): counts that outlive the log.
CREATE TABLE usage (
    application TEXT NOT NULL,
    month BIGINT NOT NULL,
    what TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (application, month, what)
) WITHOUT ROWID;

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    use TEXT NOT NULL,
    status TEXT NOT NULL,
    public_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

CREATE TABLE data_keys (
    id BIGINT PRIMARY KEY,
    purpose TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at BIGINT NOT NULL
);

-- Small facts: public_url, key_check, tree (size and frontier of the audit log).
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
