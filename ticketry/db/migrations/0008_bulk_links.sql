-- Links between tickets, and the answers of requests that are done in parts.

-- A link that a ticket has once stands in the ticket; the other side is found by an index. There is no second copy.
ALTER TABLE tickets
    ADD COLUMN duplicate_of identifier,
    ADD FOREIGN KEY (workspace_id, duplicate_of) REFERENCES tickets (workspace_id, id),
    ADD CHECK (duplicate_of <> id),
    ADD CHECK (follow_up_of <> id);
ALTER TABLE resolutions ADD COLUMN duplicate_of identifier;
CREATE INDEX tickets_duplicates ON tickets (workspace_id, duplicate_of, id) WHERE duplicate_of IS NOT NULL;
CREATE INDEX tickets_follow_ups ON tickets (workspace_id, follow_up_of, id) WHERE follow_up_of IS NOT NULL;

-- Related tickets: a pair is one row, whichever of the two is asked.
CREATE TABLE ticket_relations (
    workspace_id identifier NOT NULL,
    ticket_id identifier NOT NULL,
    other_id identifier NOT NULL,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, ticket_id, other_id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id),
    FOREIGN KEY (workspace_id, other_id) REFERENCES tickets (workspace_id, id),
    CHECK (ticket_id < other_id)
);
CREATE INDEX ticket_relations_back ON ticket_relations (workspace_id, other_id, ticket_id);

-- No links in a circle, whichever way they come. Two that would close one together wait for each other here: each
-- query of this function sees what was committed before it began.
CREATE FUNCTION refuse_circle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('links/' || new.workspace_id, 0));
    IF EXISTS (
        WITH RECURSIVE chain (id) AS (
            SELECT new.duplicate_of::text WHERE new.duplicate_of IS NOT NULL
            UNION
            SELECT t.duplicate_of::text FROM chain c
            JOIN tickets t ON t.workspace_id = new.workspace_id AND t.id = c.id AND t.duplicate_of IS NOT NULL)
        SELECT FROM chain WHERE id = new.id
    ) OR EXISTS (
        WITH RECURSIVE chain (id) AS (
            SELECT new.follow_up_of::text WHERE new.follow_up_of IS NOT NULL
            UNION
            SELECT t.follow_up_of::text FROM chain c
            JOIN tickets t ON t.workspace_id = new.workspace_id AND t.id = c.id AND t.follow_up_of IS NOT NULL)
        SELECT FROM chain WHERE id = new.id
    ) THEN
        RAISE EXCEPTION 'links of % would run in a circle', new.id
            USING ERRCODE = 'check_violation', TABLE = 'tickets', CONSTRAINT = 'tickets_no_circle';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER tickets_no_circle BEFORE INSERT OR UPDATE OF duplicate_of, follow_up_of ON tickets FOR EACH ROW
    WHEN (new.duplicate_of IS NOT NULL OR new.follow_up_of IS NOT NULL) EXECUTE FUNCTION refuse_circle();

-- What each part of a request with an Idempotency-Key was answered, kept by the transaction that did it. The row in
-- idempotent_answers says whose it is, and is there from the beginning on.
CREATE TABLE idempotent_parts (
    workspace_id identifier NOT NULL,
    key_id identifier NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    part smallint NOT NULL CHECK (part BETWEEN 0 AND 99),
    body bytea NOT NULL,
    PRIMARY KEY (workspace_id, key_id, idempotency_key, part),
    FOREIGN KEY (workspace_id, key_id, idempotency_key) REFERENCES idempotent_answers ON DELETE CASCADE ON UPDATE CASCADE
);
