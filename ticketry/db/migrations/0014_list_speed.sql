-- Who writes tickets meanwhile waits: begun before, it would go on with the triggers of before, which note no marks.
LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE;

-- Which tickets bear a mark: a status, a priority, a category, an assignee, a missed promise, a tag, a word. A row is a
-- stretch of 16384 ticket numbers, a bit for each. How many tickets bear several marks at once is then a matter of a few
-- kilobytes, whatever the marks and however many tickets there are.
--
-- A change of a ticket only notes the ticket's number and what it bore before; a job folds that into the marks. Tickets
-- noted are unsettled: a list looks at those themselves and takes only the others from here. So it is exact at every
-- moment, and no row is hot.
CREATE TABLE ticket_marks (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    mark text COLLATE "C" NOT NULL,
    stretch bigint NOT NULL,
    tickets bit(16384) NOT NULL,
    PRIMARY KEY (workspace_id, mark, stretch)
);
ALTER TABLE ticket_marks ALTER COLUMN tickets SET STORAGE MAIN;  -- compressed, but not moved to a place of its own

-- When the tickets of 1024 numbers were created: the newest are found without looking at all.
CREATE TABLE ticket_spans (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    span bigint NOT NULL,
    earliest instant NOT NULL,
    latest instant NOT NULL,
    PRIMARY KEY (workspace_id, span)
);

CREATE TABLE ticket_mark_changes (
    workspace_id identifier NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    number bigint NOT NULL,
    gone text[] NOT NULL DEFAULT '{}',
    reworded boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, id)
);

CREATE FUNCTION marks_of(status text, priority integer, category text, assigned_to text, missed boolean)
    RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ARRAY['s:' || status, 'p:' || priority, 'c:' || coalesce(category, ''), 'a:' || coalesce(assigned_to, ''),
          'm:' || missed];
CREATE FUNCTION marks_of_tags(tags text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ARRAY(SELECT 't:' || tag FROM unnest(tags) AS t (tag));
-- Numbers are found by their beginning, in the index of words.
CREATE FUNCTION marks_of_words(words tsvector) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ARRAY(SELECT 'w:' || word FROM unnest(tsvector_to_array(words)) AS w (word) WHERE word !~ '^(tick)?-?[0-9]+$');

-- The places of a stretch that are named, as bits: `bits_set(place, 1)`.
DO $$ BEGIN
    EXECUTE format('CREATE AGGREGATE bits_set(integer, integer) (SFUNC = set_bit, STYPE = bit, INITCOND = %L)',
                   repeat('0', 16384));
END $$;

-- Folds notes into the marks; how many. To be called by one at a time. The marks that a ticket bore before any of its
-- notes are taken away, then those that it bears now are given: so the order of notes does not matter, and a ticket
-- whose notes are folded by half is no less right than before, for the rest still says that it is unsettled.
CREATE FUNCTION fold_ticket_marks(most integer) RETURNS bigint LANGUAGE sql AS $$
    WITH taken AS (
        DELETE FROM ticket_mark_changes
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM ticket_mark_changes LIMIT most))
        RETURNING workspace_id, number, gone, reworded),
    noted AS (
        SELECT workspace_id, number, bool_or(reworded) AS reworded FROM taken GROUP BY 1, 2),
    found AS MATERIALIZED (
        SELECT n.workspace_id, n.number, t.created_at,
               marks_of(t.status, t.priority, t.category, t.assigned_to, is_missed(t.response_met, t.resolution_met))
               || marks_of_tags(t.tags)
               || CASE WHEN n.reworded THEN (
                      SELECT marks_of_words(w.words) FROM ticket_words w
                      WHERE w.workspace_id = t.workspace_id AND w.ticket_id = t.id) ELSE '{}' END AS marks
        FROM noted n JOIN tickets t ON t.workspace_id = n.workspace_id AND t.number = n.number),
    spanned AS (
        INSERT INTO ticket_spans AS s (workspace_id, span, earliest, latest)
        SELECT workspace_id, number >> 10, min(created_at), max(created_at) FROM found GROUP BY 1, 2
        ON CONFLICT (workspace_id, span) DO UPDATE
        SET earliest = least(s.earliest, excluded.earliest), latest = greatest(s.latest, excluded.latest)
        WHERE excluded.earliest < s.earliest OR excluded.latest > s.latest),
    said AS (
        SELECT workspace_id, number, unnest(marks) AS mark, true AS given FROM found
        UNION ALL
        SELECT workspace_id, number, unnest(gone), false FROM taken),
    touched AS (
        SELECT workspace_id, mark, number >> 14 AS stretch,
               bits_set((number & 16383)::integer, 1) FILTER (WHERE given) AS given,
               bits_set((number & 16383)::integer, 1) FILTER (WHERE NOT given) AS gone
        FROM said GROUP BY 1, 2, 3),
    -- A mark that nobody bears any more leaves nothing behind, for instance of a word that was taken back.
    emptied AS (
        DELETE FROM ticket_marks m USING touched t
        WHERE m.workspace_id = t.workspace_id AND m.mark = t.mark AND m.stretch = t.stretch
          AND bit_count((m.tickets & ~t.gone) | t.given) = 0),
    folded AS (
        INSERT INTO ticket_marks AS m (workspace_id, mark, stretch, tickets)
        SELECT t.workspace_id, t.mark, t.stretch, coalesce(m.tickets & ~t.gone, 0::bit(16384)) | t.given
        FROM touched t LEFT JOIN ticket_marks m USING (workspace_id, mark, stretch)
        WHERE bit_count(coalesce(m.tickets & ~t.gone, 0::bit(16384)) | t.given) > 0
        ON CONFLICT (workspace_id, mark, stretch) DO UPDATE SET tickets = excluded.tickets
        WHERE m.tickets <> excluded.tickets)
    SELECT count(*) FROM taken
$$;

-- Tickets by the day of their creation, for lists of a month. Differences of before have no day, for the days are
-- counted here and now.
ALTER TABLE ticket_count_changes ADD COLUMN day date;
INSERT INTO ticket_rollups (workspace_id, facet, value, tickets)
SELECT workspace_id, 'day', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*) FROM tickets GROUP BY 1, 3;

CREATE OR REPLACE FUNCTION note_new_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_count_changes (workspace_id, status, priority, category, assigned_to, missed, day, tickets)
    SELECT workspace_id, status, priority, coalesce(category, ''), coalesce(assigned_to, ''),
           is_missed(response_met, resolution_met), (created_at AT TIME ZONE 'UTC')::date, count(*)
    FROM new_tickets GROUP BY 1, 2, 3, 4, 5, 6, 7;

    INSERT INTO ticket_words (workspace_id, ticket_id, created_at, words, tags)
    SELECT workspace_id, id, created_at, words_of(number, subject, description), tags FROM new_tickets;

    INSERT INTO ticket_mark_changes (workspace_id, number, reworded)
    SELECT workspace_id, number, true FROM new_tickets;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_recount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_count_changes (workspace_id, status, priority, category, assigned_to, missed, tickets)
    VALUES (old.workspace_id, old.status, old.priority, coalesce(old.category, ''), coalesce(old.assigned_to, ''),
            is_missed(old.response_met, old.resolution_met), -1),
           (new.workspace_id, new.status, new.priority, coalesce(new.category, ''), coalesce(new.assigned_to, ''),
            is_missed(new.response_met, new.resolution_met), 1);
    INSERT INTO ticket_mark_changes (workspace_id, number, gone)
    VALUES (old.workspace_id, old.number, marks_of(old.status, old.priority, old.category, old.assigned_to,
            is_missed(old.response_met, old.resolution_met)));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_new_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (old.subject, old.description) IS NOT DISTINCT FROM (new.subject, new.description) THEN
        UPDATE ticket_words SET tags = new.tags WHERE workspace_id = new.workspace_id AND ticket_id = new.id;
        INSERT INTO ticket_mark_changes (workspace_id, number, gone)
        VALUES (old.workspace_id, old.number, marks_of_tags(old.tags));
        RETURN NULL;
    END IF;
    UPDATE ticket_words SET words = words_of(new.number, new.subject, new.description), tags = new.tags
    WHERE workspace_id = new.workspace_id AND ticket_id = new.id;
    INSERT INTO ticket_mark_changes (workspace_id, number, gone, reworded)
    VALUES (old.workspace_id, old.number,
            marks_of_tags(old.tags) || marks_of_words(words_of(old.number, old.subject, old.description)), true);
    RETURN NULL;
END $$;
-- A close names none of these columns, and so does not compare long texts.
DROP TRIGGER tickets_reworded ON tickets;
CREATE TRIGGER tickets_reworded AFTER UPDATE OF subject, description, tags ON tickets FOR EACH ROW
    WHEN ((old.subject, old.description, old.tags) IS DISTINCT FROM (new.subject, new.description, new.tags))
    EXECUTE FUNCTION note_new_words();

-- What is there already.
INSERT INTO ticket_mark_changes (workspace_id, number, reworded) SELECT workspace_id, number, true FROM tickets;
DO $$ BEGIN
    WHILE fold_ticket_marks(20000) > 0 LOOP END LOOP;
END $$;
