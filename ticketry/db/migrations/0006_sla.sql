-- Promises about time. A policy is versioned; a version holds its own copy of the calendar, so that nothing edited
-- later can change what a ticket was promised.

CREATE TABLE sla_calendars (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    opening_hours text NOT NULL CHECK (length(opening_hours) BETWEEN 1 AND 1000),
    time_zone text NOT NULL,
    country text,
    closed_days date[] NOT NULL DEFAULT '{}' CHECK (cardinality(closed_days) <= 400),
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE sla_policies (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    position integer NOT NULL CHECK (position > 0),
    active boolean NOT NULL DEFAULT true,
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE sla_policy_versions (
    workspace_id identifier NOT NULL,
    policy_id identifier NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    targets jsonb NOT NULL,
    pause_on_third_party boolean NOT NULL,
    conditions jsonb NOT NULL,
    escalations jsonb NOT NULL,
    calendar_id identifier,
    calendar_name text NOT NULL,
    opening_hours text NOT NULL,
    time_zone text NOT NULL,
    country text,
    closed_days date[] NOT NULL,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, policy_id, version),
    FOREIGN KEY (workspace_id, policy_id) REFERENCES sla_policies (workspace_id, id),
    FOREIGN KEY (workspace_id, calendar_id) REFERENCES sla_calendars (workspace_id, id)
);
CREATE TRIGGER sla_policy_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sla_policy_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every workspace has the default policy from its first moment on: last in order, without conditions.
CREATE FUNCTION give_default_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sla_policies (workspace_id, id, version, position, created_at, updated_at)
    VALUES (new.id, 'sla_default', 1, 2147483647, new.created_at, new.created_at);
    INSERT INTO sla_policy_versions (workspace_id, policy_id, version, name, targets, pause_on_third_party, conditions,
        escalations, calendar_name, opening_hours, time_zone, closed_days, created_at)
    VALUES (new.id, 'sla_default', 1, 'Default', '{
            "1": {"response": 60, "resolution": 480}, "2": {"response": 480, "resolution": 1440},
            "3": {"response": 1440, "resolution": 4320}, "4": {"response": 10080, "resolution": 20160}}',
        false, '{}', '[]', 'Always open', '24/7', 'UTC', '{}', new.created_at);
    RETURN NULL;
END $$;
CREATE TRIGGER workspaces_promise AFTER INSERT ON workspaces FOR EACH ROW EXECUTE FUNCTION give_default_policy();

ALTER TABLE workspaces ADD COLUMN auto_close_days integer CHECK (auto_close_days BETWEEN 1 AND 3650);

-- When the ticket's clock next has something to tell, and what it has told in this cycle and owes (bits, see sla/alarms.py).
ALTER TABLE tickets
    ALTER COLUMN sla_policy_id SET DEFAULT 'sla_default',
    ALTER COLUMN sla_policy_id SET NOT NULL,
    ADD COLUMN next_alarm_at instant,
    ADD COLUMN alarms smallint NOT NULL DEFAULT 0 CHECK (alarms BETWEEN 0 AND 255),
    ADD FOREIGN KEY (workspace_id, sla_policy_id, sla_policy_version) REFERENCES sla_policy_versions;
ALTER TABLE resolutions
    ADD COLUMN sla_policy_id identifier NOT NULL DEFAULT 'sla_default',
    ADD COLUMN sla_policy_version integer NOT NULL DEFAULT 1;
CREATE INDEX tickets_alarm ON tickets (workspace_id, next_alarm_at) WHERE next_alarm_at IS NOT NULL;
