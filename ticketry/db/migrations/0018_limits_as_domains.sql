-- What a single column may hold is its type's matter from here on, not a CHECK of the table. PostgreSQL reads the CHECKs of a
-- table anew for every statement that writes to it, 31 of them for a close: a fifth of its whole cost. The
-- constraints of a domain it keeps, and asks only for the columns that are written.
--
-- The domains get their constraints last: so no table is rewritten, and each is read once to see that all of it holds.
CREATE DOMAIN counted AS integer;
CREATE DOMAIN numbered AS integer;
CREATE DOMAIN ticket_number AS bigint;
CREATE DOMAIN ticket_subject AS text;
CREATE DOMAIN message AS text;
CREATE DOMAIN priority AS smallint;
CREATE DOMAIN ticket_status AS text COLLATE "C";
CREATE DOMAIN category AS text;
CREATE DOMAIN tag_list AS text[];
CREATE DOMAIN resolution_note AS text;
CREATE DOMAIN rating AS smallint;
CREATE DOMAIN rating_source AS text;
CREATE DOMAIN work_minutes AS integer;
CREATE DOMAIN alarm_bits AS smallint;

-- The first is made anew without a condition of its own, which would be read anew as well.
DROP TRIGGER tickets_recounted ON tickets;
DROP TRIGGER tickets_reworded ON tickets;

ALTER TABLE tickets
    DROP CONSTRAINT tickets_alarms_check,
    DROP CONSTRAINT tickets_category_check,
    DROP CONSTRAINT tickets_check3, -- a ticket as its own duplicate or follow-up is a circle: see refuse_circle
    DROP CONSTRAINT tickets_check4,
    DROP CONSTRAINT tickets_customer_satisfaction_check,
    DROP CONSTRAINT tickets_description_check,
    DROP CONSTRAINT tickets_number_check,
    DROP CONSTRAINT tickets_priority_check,
    DROP CONSTRAINT tickets_reopen_count_check,
    DROP CONSTRAINT tickets_resolution_note_check,
    DROP CONSTRAINT tickets_resolution_spent_check,
    DROP CONSTRAINT tickets_resolution_time_check,
    DROP CONSTRAINT tickets_response_spent_check,
    DROP CONSTRAINT tickets_root_cause_check,
    DROP CONSTRAINT tickets_satisfaction_source_check,
    DROP CONSTRAINT tickets_status_check,
    DROP CONSTRAINT tickets_subject_check,
    DROP CONSTRAINT tickets_tags_check,
    DROP CONSTRAINT tickets_version_check,
    ALTER COLUMN alarms TYPE alarm_bits,
    ALTER COLUMN category TYPE category,
    ALTER COLUMN customer_satisfaction TYPE rating,
    ALTER COLUMN description TYPE message,
    ALTER COLUMN number TYPE ticket_number,
    ALTER COLUMN priority TYPE priority,
    ALTER COLUMN reopen_count TYPE counted,
    ALTER COLUMN resolution_note TYPE resolution_note,
    ALTER COLUMN resolution_spent TYPE counted,
    ALTER COLUMN resolution_time TYPE work_minutes,
    ALTER COLUMN response_spent TYPE counted,
    ALTER COLUMN root_cause TYPE category,
    ALTER COLUMN satisfaction_source TYPE rating_source,
    ALTER COLUMN status TYPE ticket_status,
    ALTER COLUMN subject TYPE ticket_subject,
    ALTER COLUMN tags TYPE tag_list,
    ALTER COLUMN version TYPE numbered;
ALTER TABLE resolutions
    DROP CONSTRAINT resolutions_customer_satisfaction_check,
    DROP CONSTRAINT resolutions_cycle_check,
    DROP CONSTRAINT resolutions_resolution_note_check,
    DROP CONSTRAINT resolutions_resolution_time_check,
    DROP CONSTRAINT resolutions_root_cause_check,
    DROP CONSTRAINT resolutions_satisfaction_source_check,
    ALTER COLUMN customer_satisfaction TYPE rating,
    ALTER COLUMN cycle TYPE numbered,
    ALTER COLUMN resolution_note TYPE resolution_note,
    ALTER COLUMN resolution_time TYPE work_minutes,
    ALTER COLUMN root_cause TYPE category,
    ALTER COLUMN satisfaction_source TYPE rating_source;

ALTER DOMAIN counted ADD CHECK (VALUE >= 0);
ALTER DOMAIN numbered ADD CHECK (VALUE > 0);
ALTER DOMAIN ticket_number ADD CHECK (VALUE > 0);
ALTER DOMAIN ticket_subject ADD CHECK (length(VALUE) BETWEEN 1 AND 200);
ALTER DOMAIN message ADD CHECK (length(VALUE) BETWEEN 1 AND 10000);
ALTER DOMAIN priority ADD CHECK (VALUE BETWEEN 1 AND 4);
ALTER DOMAIN ticket_status ADD CHECK (VALUE IN ('new', 'open', 'in_progress', 'waiting_on_customer',
    'waiting_on_third_party', 'resolved', 'closed', 'reopened'));
ALTER DOMAIN category ADD CHECK (length(VALUE) BETWEEN 1 AND 100);
ALTER DOMAIN tag_list ADD CHECK (cardinality(VALUE) <= 50);
ALTER DOMAIN resolution_note ADD CHECK (length(VALUE) <= 5000);
ALTER DOMAIN rating ADD CHECK (VALUE BETWEEN 1 AND 10);
ALTER DOMAIN rating_source ADD CHECK (VALUE IN ('api', 'agent', 'customer'));
ALTER DOMAIN work_minutes ADD CHECK (VALUE BETWEEN 0 AND 5256000);
ALTER DOMAIN alarm_bits ADD CHECK (VALUE BETWEEN 0 AND 255);

CREATE OR REPLACE FUNCTION note_recount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (old.status, old.priority, old.category, old.assigned_to, is_missed(old.response_met, old.resolution_met))
       IS NOT DISTINCT FROM
       (new.status, new.priority, new.category, new.assigned_to, is_missed(new.response_met, new.resolution_met)) THEN
        RETURN NULL;
    END IF;
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
CREATE TRIGGER tickets_recounted AFTER UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION note_recount();
CREATE TRIGGER tickets_reworded AFTER UPDATE OF subject, description, tags ON tickets FOR EACH ROW
    WHEN ((old.subject, old.description, old.tags) IS DISTINCT FROM (new.subject, new.description, new.tags))
    EXECUTE FUNCTION note_new_words();
