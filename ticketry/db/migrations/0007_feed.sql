-- The feed: every event of a workspace in one order, complete for whoever reads along.
--
-- An event's place is the number of the transaction that wrote it. A reader is shown only what is below the oldest
-- transaction still running: nothing can come to stand before what it has seen. One ticket's events keep their order
-- although a transaction may take its number long before it gets at the ticket: the ticket remembers the highest
-- number that changed it, and its next event takes that number at least.

ALTER TABLE events ALTER COLUMN ticket_id DROP NOT NULL; -- some facts are about the workspace, not about a ticket
ALTER TABLE events
    ALTER COLUMN transaction_id DROP DEFAULT,
    ALTER COLUMN transaction_id TYPE bigint USING transaction_id::text::bigint;
ALTER TABLE tickets ADD COLUMN last_transaction bigint NOT NULL DEFAULT 0;

-- A dump loaded into another server finds that server's transactions counted from the beginning. What is added to
-- them (0 at first, see feed_rebase) keeps new events behind all old ones.
CREATE FUNCTION feed_now() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT pg_current_xact_id()::text::bigint + 0';
CREATE FUNCTION feed_horizon() RETURNS bigint LANGUAGE sql STABLE
    AS 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 0';
ALTER TABLE events ALTER COLUMN transaction_id SET DEFAULT feed_now();

CREATE TABLE feed_cluster (
    here boolean PRIMARY KEY DEFAULT true CHECK (here),
    system_identifier bigint NOT NULL
);
INSERT INTO feed_cluster (system_identifier) SELECT system_identifier FROM pg_control_system();

-- Called by every `ticketry migrate`: true if the database was found on another server than before.
CREATE FUNCTION feed_rebase() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    server bigint := (SELECT system_identifier FROM pg_control_system());
    highest bigint;
BEGIN
    IF EXISTS (SELECT FROM feed_cluster WHERE system_identifier = server) THEN
        RETURN false;
    END IF;
    SELECT greatest((SELECT max(transaction_id) FROM events), (SELECT max(last_transaction) FROM tickets), 0)
    INTO highest;
    EXECUTE format('CREATE OR REPLACE FUNCTION feed_now() RETURNS bigint LANGUAGE sql VOLATILE AS %L',
        format('SELECT pg_current_xact_id()::text::bigint + %s', highest));
    EXECUTE format('CREATE OR REPLACE FUNCTION feed_horizon() RETURNS bigint LANGUAGE sql STABLE AS %L',
        format('SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + %s', highest));
    UPDATE feed_cluster SET system_identifier = server;
    RETURN true;
END $$;

CREATE INDEX events_feed ON events (workspace_id, transaction_id, position);

-- How far the relay has handed a workspace's events on. What happened before there was a relay is nobody's news.
CREATE TABLE feed_cursors (
    workspace_id identifier PRIMARY KEY REFERENCES workspaces,
    transaction_id bigint NOT NULL,
    position bigint NOT NULL
);
INSERT INTO feed_cursors
SELECT w.id, last.transaction_id, last.position FROM workspaces w, LATERAL (
    SELECT transaction_id, position FROM events e WHERE e.workspace_id = w.id
    ORDER BY transaction_id DESC, position DESC LIMIT 1) AS last;
