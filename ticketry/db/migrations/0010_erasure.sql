-- Erasure: a person's words leave for good, figures and ids stay. See docs/decisions/0010.

-- An erased contact keeps its row and its id; the table itself holds that nothing else is left in it.
ALTER TABLE contacts ADD COLUMN erased_at instant;
ALTER TABLE contacts ADD CONSTRAINT contacts_erased CHECK (erased_at IS NULL OR (name = '[erased]'
    AND num_nonnulls(email, phone, company, external_id) = 0 AND cardinality(tags) = 0));

ALTER TABLE workspaces ADD COLUMN retention_months integer CHECK (retention_months BETWEEN 1 AND 1200);

-- When a ticket's texts were erased last, and the version in which it had no words at all: whatever is said later, be
-- it a note on a closed ticket, gives it another version, and is to go in its turn.
ALTER TABLE tickets ADD COLUMN erased_at instant, ADD COLUMN wordless_version integer;
CREATE INDEX tickets_kept ON tickets (workspace_id, closed_at)
    WHERE closed_at IS NOT NULL AND wordless_version IS DISTINCT FROM version;

-- Each erasure: of a person, or of tickets that were kept long enough. What it looks for is personal, so it is here only
-- until the end; `stage` and `place` say how far it is, so that any process can go on with it.
CREATE TABLE erasures (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    kind text NOT NULL CHECK (kind IN ('contact', 'retention')),
    contact_id identifier,
    closed_before instant,
    stage text NOT NULL,
    place text NOT NULL DEFAULT '',
    halvings smallint NOT NULL DEFAULT 0 CHECK (halvings BETWEEN 0 AND 10), -- how often a step took too long
    settled xid8,
    sought jsonb,
    counts jsonb NOT NULL DEFAULT '{}',
    actor_type text NOT NULL CHECK (actor_type IN ('user', 'key', 'contact', 'system')),
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    started_at instant NOT NULL,
    finished_at instant,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
    CHECK ((kind = 'contact') = (contact_id IS NOT NULL)),
    CHECK ((kind = 'retention') = (closed_before IS NOT NULL)),
    CHECK ((sought IS NULL) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX erasures_of_contact ON erasures (workspace_id, contact_id) WHERE contact_id IS NOT NULL;
CREATE UNIQUE INDEX erasures_retaining ON erasures (workspace_id) WHERE kind = 'retention' AND finished_at IS NULL;
CREATE INDEX erasures_running ON erasures (started_at) WHERE finished_at IS NULL;

-- Words that an erasure took from tickets: those that stand nowhere else leave the vocabulary. Empty afterwards.
CREATE TABLE erasure_words (
    workspace_id identifier NOT NULL,
    erasure_id identifier NOT NULL,
    word text COLLATE "C" NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, erasure_id, word),
    FOREIGN KEY (workspace_id, erasure_id) REFERENCES erasures (workspace_id, id)
);

-- Nobody may use an erased contact, nor take a ticket away from it while its words are on their way out. Whoever writes something
-- in a contact's name waits for an erasure that is just beginning, and it for them: nothing is written behind its back.
CREATE FUNCTION refuse_erased_contact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_of text;
    once_of text;
    one record;
BEGIN
    CASE tg_argv[0]
        WHEN 'contact_id' THEN now_of := new.contact_id; once_of := old.contact_id;
        WHEN 'author_id' THEN now_of := new.author_id;
        WHEN 'actor_id' THEN now_of := new.actor_id;
    END CASE;
    FOR one IN
        SELECT id, erased_at FROM contacts WHERE workspace_id = new.workspace_id AND id IN (now_of, once_of)
        ORDER BY id FOR SHARE
    LOOP
        IF one.erased_at IS NOT NULL AND (one.id = now_of OR EXISTS (
            SELECT FROM erasures WHERE workspace_id = new.workspace_id AND contact_id = one.id AND finished_at IS NULL))
        THEN
            RAISE EXCEPTION 'contact_erased' USING ERRCODE = 'TK409', DETAIL = 'This contact was erased';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_living_contact AFTER INSERT ON tickets FOR EACH ROW
    WHEN (new.contact_id IS NOT NULL) EXECUTE FUNCTION refuse_erased_contact('contact_id');
CREATE TRIGGER tickets_moved_to_living_contact AFTER UPDATE OF contact_id ON tickets FOR EACH ROW
    WHEN (new.contact_id IS DISTINCT FROM old.contact_id)
    EXECUTE FUNCTION refuse_erased_contact('contact_id');
CREATE TRIGGER comments_living_author AFTER INSERT ON comments FOR EACH ROW
    WHEN (new.author_type = 'contact') EXECUTE FUNCTION refuse_erased_contact('author_id');
CREATE TRIGGER events_living_actor AFTER INSERT ON events FOR EACH ROW
    WHEN (new.actor_type = 'contact') EXECUTE FUNCTION refuse_erased_contact('actor_id');
CREATE TRIGGER attachments_living_contact AFTER INSERT OR UPDATE OF contact_id ON attachments FOR EACH ROW
    WHEN (new.contact_id IS NOT NULL) EXECUTE FUNCTION refuse_erased_contact('contact_id');

-- The one way to take words out of an event: a row here. It stays as the record that the event was altered and by which
-- erasure; what is to stand in the event only passes through.
CREATE TABLE event_erasures (
    workspace_id identifier NOT NULL,
    event_id identifier NOT NULL,
    erasure_id identifier NOT NULL,
    erased_at instant NOT NULL,
    actor_name text CHECK (actor_name IS NULL),
    data jsonb CHECK (data IS NULL),
    PRIMARY KEY (workspace_id, event_id, erasure_id),
    FOREIGN KEY (workspace_id, erasure_id) REFERENCES erasures (workspace_id, id)
);

-- What of an event no erasure may change: the clock of a ticket is replayed from it, and reports count it.
CREATE FUNCTION event_figures(data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN jsonb_build_array(
    data #> '{ticket,id}', data #> '{ticket,number}', data #> '{ticket,status}', data #> '{ticket,priority}',
    data #> '{ticket,contact_id}', data #> '{ticket,assigned_to}', data #> '{ticket,customer_satisfaction}',
    data #> '{ticket,resolution_time}', data #> '{ticket,reopen_count}', data #> '{ticket,sla}',
    data #> '{ticket,created_at}', data #> '{ticket,resolved_at}', data #> '{ticket,closed_at}',
    data #> '{changes,status}', data #> '{changes,priority}', data #> '{changes,assigned_to}',
    data #> '{changes,customer_satisfaction}', data #> '{changes,resolution_time}', data #> '{changes,sla_policy_id}',
    data #> '{changes,sla_policy_version}', data #> '{comment,id}', data #> '{comment,visibility}',
    data #> '{comment,author,type}', data #> '{comment,author,id}', data -> 'target', data -> 'cycle', data -> 'due_at');

CREATE FUNCTION erase_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM erasures WHERE workspace_id = new.workspace_id AND id = new.erasure_id AND finished_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no erasure % is running', new.erasure_id USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE events SET actor_name = new.actor_name, data = new.data
    WHERE workspace_id = new.workspace_id AND id = new.event_id
          AND event_figures(events.data) = event_figures(new.data)
          AND (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(events.data) AS k)
              IS NOT DISTINCT FROM (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(new.data) AS k);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an erasure takes words out of an event, and nothing else'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    new.actor_name := NULL;
    new.data := NULL;
    RETURN new;
END $$;
CREATE TRIGGER event_erasures_erase BEFORE INSERT ON event_erasures FOR EACH ROW EXECUTE FUNCTION erase_event();
CREATE TRIGGER event_erasures_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_erasures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Events stay append-only for everybody else. There is no flag that one could set: the change must come from within
-- the trigger above, which nobody can be inside of without making triggers of his own.
CREATE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    callers text;
BEGIN
    GET DIAGNOSTICS callers = PG_CONTEXT;
    IF tg_op = 'UPDATE' AND pg_trigger_depth() > 1 AND position('erase_event()' IN callers) > 0 THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER events_append_only ON events;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();
