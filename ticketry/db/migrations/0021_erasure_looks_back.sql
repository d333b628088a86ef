-- A sample of what erasures looked for that was taken before migration 19 goes: a column that is given a type, also the one
-- that it has, loses it.
ALTER TABLE erasures ALTER COLUMN sought TYPE jsonb;

-- The way to an event's words, so that nobody gets in who only pretends to be it. erase_event() does its work as the owner
-- of this schema, on this one table, finding what it names in this schema alone; it says so while it is at it by a row
-- in event_openings. The guard lets a change through that the owner makes while there is such a row of the same
-- transaction: whoever may only write rows, be it in every table, is not the owner, and can make no trigger of
-- erase_event(), for that needs the right to execute it.
CREATE TABLE event_openings (
    workspace_id identifier NOT NULL,
    event_id identifier NOT NULL,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, event_id)
);

CREATE OR REPLACE FUNCTION erase_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF tg_relid <> 'event_erasures'::regclass THEN
        RAISE EXCEPTION 'events are erased by way of event_erasures' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM 1 FROM erasures WHERE workspace_id = new.workspace_id AND id = new.erasure_id AND finished_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no erasure % is running', new.erasure_id USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO event_openings (workspace_id, event_id) VALUES (new.workspace_id, new.event_id);
    UPDATE events SET actor_name = new.actor_name, data = new.data
    WHERE workspace_id = new.workspace_id AND id = new.event_id
          AND event_figures(events.data) = event_figures(new.data)
          AND (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(events.data) AS k)
              IS NOT DISTINCT FROM (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(new.data) AS k);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an erasure takes words out of an event, and nothing else'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM event_openings WHERE workspace_id = new.workspace_id AND event_id = new.event_id;
    new.actor_name := NULL;
    new.data := NULL;
    RETURN new;
END $$;

CREATE OR REPLACE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'UPDATE' AND pg_trigger_depth() > 1
        AND current_user = (SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = 'erase_event()'::regprocedure)
    THEN
        PERFORM 1 FROM event_openings WHERE transaction_id = pg_current_xact_id();
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

REVOKE EXECUTE ON FUNCTION erase_event() FROM PUBLIC;
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION erase_event() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION refuse_change_of_events() SET search_path = %I, pg_temp', current_schema());
END $$;

-- What a contact was called and where it was reached before: it still stands in texts, and an erasure must look for it.
-- Of each field the last 20 values; nobody is shown them.
CREATE DOMAIN former_values AS jsonb;
ALTER TABLE contacts ADD COLUMN former former_values NOT NULL DEFAULT '{}',
    DROP CONSTRAINT contacts_erased,
    ADD CONSTRAINT contacts_erased CHECK (erased_at IS NULL OR (name = '[erased]'
        AND num_nonnulls(email, phone, company, external_id) = 0 AND cardinality(tags) = 0 AND former = '{}'));
ALTER DOMAIN former_values ADD CHECK (jsonb_typeof(VALUE) = 'object' AND length(VALUE::text) <= 200000
    AND NOT jsonb_path_exists(VALUE, 'strict $.* ? (@.type() != "array")', '{}', true)
    AND NOT jsonb_path_exists(VALUE, 'strict $.*[*] ? (@.type() != "string")', '{}', true));

CREATE FUNCTION keep_former_values() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    field text;
    was text;
BEGIN
    FOREACH field IN ARRAY ARRAY['name', 'email', 'phone', 'company', 'external_id'] LOOP
        was := to_jsonb(old) ->> field;
        IF was IS DISTINCT FROM to_jsonb(new) ->> field AND was IS NOT NULL THEN
            new.former := new.former || jsonb_build_object(field, (
                SELECT jsonb_agg(value ORDER BY place) FROM (
                    SELECT value, min(place) AS place FROM jsonb_array_elements_text(
                        jsonb_build_array(was) || coalesce(new.former -> field, '[]')) WITH ORDINALITY AS v (value, place)
                    GROUP BY value ORDER BY 2 LIMIT 20) AS kept));
        END IF;
    END LOOP;
    RETURN new;
END $$;
CREATE TRIGGER contacts_former BEFORE UPDATE OF name, email, phone, company, external_id ON contacts FOR EACH ROW
    WHEN (new.erased_at IS NULL) EXECUTE FUNCTION keep_former_values();
