-- What lists and search read. Indexes of tickets begin with workspace_id and end with id, which breaks ties.

CREATE INDEX tickets_by_created ON tickets (workspace_id, created_at, id);
CREATE INDEX tickets_by_updated ON tickets (workspace_id, updated_at, id);
CREATE INDEX tickets_by_due ON tickets (workspace_id, due_date, id);
CREATE INDEX tickets_by_due_latest ON tickets (workspace_id, due_date DESC NULLS LAST, id DESC);
CREATE INDEX tickets_by_priority ON tickets (workspace_id, priority, id);
CREATE INDEX tickets_of_status ON tickets (workspace_id, status, created_at, id);
CREATE INDEX tickets_of_assignee ON tickets (workspace_id, assigned_to, created_at, id);
CREATE INDEX tickets_of_category ON tickets (workspace_id, category, created_at, id) WHERE category IS NOT NULL;
CREATE INDEX tickets_of_contact ON tickets (workspace_id, contact_id, created_at, id) WHERE contact_id IS NOT NULL;
CREATE INDEX tickets_missed ON tickets (workspace_id, created_at, id)
    WHERE response_met IS FALSE OR resolution_met IS FALSE;
CREATE INDEX tickets_response_due ON tickets (workspace_id, response_due_at, id) WHERE response_met IS NULL;
CREATE INDEX tickets_resolution_due ON tickets (workspace_id, resolution_due_at, id) WHERE resolution_met IS NULL;

-- Words and tags stand beside the ticket, not in it: a close then leaves these large indexes alone.
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE FUNCTION quote_lexeme(word text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    '''' || replace(replace(word, '\', '\\'), '''', '''''') || '''';

CREATE TABLE ticket_words (
    workspace_id identifier NOT NULL,
    ticket_id identifier NOT NULL,
    created_at instant NOT NULL,
    words tsvector NOT NULL,
    tags text[] NOT NULL,
    PRIMARY KEY (workspace_id, ticket_id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id)
);
CREATE INDEX ticket_words_words ON ticket_words USING gin (workspace_id, words);
CREATE INDEX ticket_words_tags ON ticket_words USING gin (workspace_id, tags);

-- Every word that tickets of a workspace hold, so that a part of a word finds the words it is a part of.
CREATE TABLE vocabulary (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    word text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, word)
);
CREATE INDEX vocabulary_parts ON vocabulary USING gin (workspace_id, word gin_trgm_ops);

-- The number stands between subject and description, so that no phrase runs from one into the other. It has a place of
-- its own, because a word without one hides other words that begin the same from searches for words in a row ("don't").
CREATE FUNCTION words_of(number bigint, subject text, description text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    to_tsvector('simple', subject) || format('''tick-%s'':3 %s:3', number, number)::tsvector
        || to_tsvector('simple', description);

-- Tickets by what people count them by. A change appends a difference; a job folds the differences into the counts.
-- The sum of both is exact in every snapshot, and no row is hot. '' stands for no category and nobody assigned.
CREATE TABLE ticket_counts (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    status text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    category text COLLATE "C" NOT NULL,
    assigned_to text COLLATE "C" NOT NULL,
    missed boolean NOT NULL,
    tickets bigint NOT NULL,
    PRIMARY KEY (workspace_id, status, priority, category, assigned_to, missed)
);
-- The same summed up by one facet at a time ('all' has the value ''), for lists that name one or none.
CREATE TABLE ticket_rollups (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    facet text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    tickets bigint NOT NULL,
    PRIMARY KEY (workspace_id, facet, value)
);
CREATE TABLE ticket_count_changes (
    workspace_id identifier NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    status text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    category text COLLATE "C" NOT NULL,
    assigned_to text COLLATE "C" NOT NULL,
    missed boolean NOT NULL,
    tickets bigint NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- These hold whichever way tickets come: by a call, an import or COPY.
CREATE FUNCTION is_missed(response_met boolean, resolution_met boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN response_met IS FALSE OR resolution_met IS FALSE;

CREATE FUNCTION note_new_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_count_changes (workspace_id, status, priority, category, assigned_to, missed, tickets)
    SELECT workspace_id, status, priority, coalesce(category, ''), coalesce(assigned_to, ''),
           is_missed(response_met, resolution_met), count(*)
    FROM new_tickets GROUP BY 1, 2, 3, 4, 5, 6;

    INSERT INTO ticket_words (workspace_id, ticket_id, created_at, words, tags)
    SELECT workspace_id, id, created_at, words_of(number, subject, description), tags FROM new_tickets;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_noted AFTER INSERT ON tickets REFERENCING NEW TABLE AS new_tickets
    FOR EACH STATEMENT EXECUTE FUNCTION note_new_tickets();

CREATE FUNCTION note_recount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_count_changes (workspace_id, status, priority, category, assigned_to, missed, tickets)
    VALUES (old.workspace_id, old.status, old.priority, coalesce(old.category, ''), coalesce(old.assigned_to, ''),
            is_missed(old.response_met, old.resolution_met), -1),
           (new.workspace_id, new.status, new.priority, coalesce(new.category, ''), coalesce(new.assigned_to, ''),
            is_missed(new.response_met, new.resolution_met), 1);
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_recounted AFTER UPDATE ON tickets FOR EACH ROW
    WHEN ((old.status, old.priority, old.category, old.assigned_to, is_missed(old.response_met, old.resolution_met))
          IS DISTINCT FROM
          (new.status, new.priority, new.category, new.assigned_to, is_missed(new.response_met, new.resolution_met)))
    EXECUTE FUNCTION note_recount();

CREATE FUNCTION note_new_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ticket_words SET words = words_of(new.number, new.subject, new.description), tags = new.tags
    WHERE workspace_id = new.workspace_id AND ticket_id = new.id;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_reworded AFTER UPDATE ON tickets FOR EACH ROW
    WHEN ((old.subject, old.description, old.tags) IS DISTINCT FROM (new.subject, new.description, new.tags))
    EXECUTE FUNCTION note_new_words();

-- Words in order, so that two transactions with the same new words never wait for each other in a circle.
CREATE FUNCTION note_vocabulary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO vocabulary (workspace_id, word)
    SELECT DISTINCT n.workspace_id, w.word FROM noted n, unnest(tsvector_to_array(n.words)) AS w (word)
    WHERE w.word !~ '^(tick)?-?[0-9]+$'  -- numbers are found by their beginning; they would swamp the rest
      AND NOT EXISTS (SELECT 1 FROM vocabulary v WHERE v.workspace_id = n.workspace_id AND v.word = w.word)
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER words_noted AFTER INSERT ON ticket_words REFERENCING NEW TABLE AS noted
    FOR EACH STATEMENT EXECUTE FUNCTION note_vocabulary();
CREATE TRIGGER words_renoted AFTER UPDATE ON ticket_words REFERENCING NEW TABLE AS noted
    FOR EACH STATEMENT EXECUTE FUNCTION note_vocabulary();
