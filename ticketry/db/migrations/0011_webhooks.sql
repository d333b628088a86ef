-- Webhooks: where to send, what is to be sent, and every attempt to send it. See docs/decisions/0011.

-- `leased_by` is the worker process that sends to the endpoint at the moment: one at a time, so that what it holds in
-- memory (order, concurrency) is the whole truth. `failing_since` is the first failure after the last success, with no
-- long silence in between. `taken_up_at` is set while there are deliveries left that an endpoint switched on then is to
-- get with all their tries before them.
CREATE TABLE webhook_endpoints (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
    event_types text[] NOT NULL DEFAULT '{}' CHECK (cardinality(event_types) <= 50),
    description text CHECK (length(description) BETWEEN 1 AND 500),
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text CHECK (length(disabled_reason) BETWEEN 1 AND 1000),
    secret text NOT NULL CHECK (length(secret) <= 200),
    old_secret text CHECK (length(old_secret) <= 200),
    old_secret_until instant,
    failing_since instant,
    last_success_at instant,
    last_failure_at instant,
    taken_up_at instant,
    leased_by text,
    leased_until instant,
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    deleted_at instant,
    PRIMARY KEY (workspace_id, id),
    CHECK (NOT enabled OR (disabled_reason IS NULL AND deleted_at IS NULL)),
    CHECK ((old_secret IS NULL) = (old_secret_until IS NULL)),
    CHECK ((leased_by IS NULL) = (leased_until IS NULL)),
    CHECK ((secret = '') = (deleted_at IS NOT NULL))
) WITH (fillfactor = 50);

-- One row an event and endpoint: it is the task and its history. `position` is the event's: it orders what belongs to
-- one ticket. `attempts` counts all, `tries` those since `round_at`, when it was first due or asked for again.
-- The body is made from the event, which never changes; only what is no event (a test) brings its own.
CREATE TABLE webhook_deliveries (
    workspace_id identifier NOT NULL,
    id identifier NOT NULL,
    endpoint_id identifier NOT NULL,
    event_id identifier NOT NULL,
    event_type text COLLATE "C" NOT NULL CHECK (length(event_type) BETWEEN 1 AND 64),
    ticket_id identifier,
    position bigint NOT NULL,
    body text CHECK (length(body) <= 10000),
    status text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    tries integer NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND attempts),
    round_at instant NOT NULL,
    next_attempt_at instant,
    event_at instant NOT NULL,
    created_at instant NOT NULL,
    settled_at instant,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, endpoint_id) REFERENCES webhook_endpoints (workspace_id, id),
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'pending') = (settled_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE UNIQUE INDEX webhook_deliveries_event ON webhook_deliveries (workspace_id, event_id, endpoint_id);
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (workspace_id, endpoint_id, id);
CREATE INDEX webhook_deliveries_loose ON webhook_deliveries (workspace_id, id) WHERE ticket_id IS NULL;
-- What is due, and what of a ticket must go before it.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (workspace_id, endpoint_id, next_attempt_at, position)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (workspace_id, endpoint_id, ticket_id, position)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (workspace_id, id) WHERE status = 'dead';
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    workspace_id identifier NOT NULL,
    delivery_id identifier NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    started_at instant NOT NULL,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    status_code smallint CHECK (status_code BETWEEN 100 AND 999),
    answer text CHECK (length(answer) <= 1024),
    error text CHECK (length(error) BETWEEN 1 AND 1000),
    PRIMARY KEY (workspace_id, delivery_id, number),
    FOREIGN KEY (workspace_id, delivery_id) REFERENCES webhook_deliveries (workspace_id, id) ON DELETE CASCADE
);

-- What happened since an instant. Events are appended in about this order, so this costs next to nothing.
CREATE INDEX events_age ON events USING brin (created_at) WITH (autosummarize);
