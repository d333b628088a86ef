-- What the edge of the API remembers, shared by all processes.

-- Requests per bucket (a key or a client address) and window. Unlogged: after a crash the counts begin anew.
CREATE UNLOGGED TABLE rate_counters (
    bucket text COLLATE "C" NOT NULL,
    window_seconds integer NOT NULL,
    window_start bigint NOT NULL,
    hits integer NOT NULL,
    PRIMARY KEY (bucket, window_seconds, window_start)
);

-- Answers to requests that carried an Idempotency-Key, kept for 24 hours.
CREATE TABLE idempotent_answers (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    key_id identifier NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, key_id, idempotency_key)
);
CREATE INDEX idempotent_answers_age ON idempotent_answers (created_at);
