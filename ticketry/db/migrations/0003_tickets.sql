-- Tickets, what each close recorded, comments, and the events: the limits of the API stand here once more, so that
-- a bug cannot store nonsense.

CREATE TABLE tickets (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (length(description) BETWEEN 1 AND 10000),
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
    status text COLLATE "C" NOT NULL CHECK (status IN ('new', 'open', 'in_progress', 'waiting_on_customer',
        'waiting_on_third_party', 'resolved', 'closed', 'reopened')),
    category text CHECK (length(category) BETWEEN 1 AND 100),
    contact_id identifier,
    conversation_id identifier,
    assigned_to identifier,
    follow_up_of identifier,
    due_date instant,
    tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 50),
    custom_fields jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    resolution_note text CHECK (length(resolution_note) <= 5000),
    customer_satisfaction smallint CHECK (customer_satisfaction BETWEEN 1 AND 10),
    satisfaction_source text CHECK (satisfaction_source IN ('api', 'agent', 'customer')),
    resolution_time integer CHECK (resolution_time BETWEEN 0 AND 5256000),
    root_cause text CHECK (length(root_cause) BETWEEN 1 AND 100),
    reopen_count integer NOT NULL DEFAULT 0 CHECK (reopen_count >= 0),
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    resolved_at instant,
    closed_at instant,

    -- The SLA clock, see ticketry/sla/models.py. Spent times are business seconds counted up to sla_since.
    sla_policy_id identifier,
    sla_policy_version integer NOT NULL DEFAULT 1,
    sla_since instant NOT NULL,
    response_spent integer NOT NULL DEFAULT 0 CHECK (response_spent >= 0),
    resolution_spent integer NOT NULL DEFAULT 0 CHECK (resolution_spent >= 0),
    response_due_at instant,
    resolution_due_at instant,
    first_response_at instant,
    response_completed_at instant,
    resolution_completed_at instant,
    response_met boolean,
    resolution_met boolean,
    sla_paused boolean NOT NULL DEFAULT false,

    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
    FOREIGN KEY (workspace_id, assigned_to) REFERENCES users (workspace_id, id),
    FOREIGN KEY (workspace_id, follow_up_of) REFERENCES tickets (workspace_id, id),
    CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CHECK ((status IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)),
    CHECK ((customer_satisfaction IS NULL) = (satisfaction_source IS NULL))
);
CREATE UNIQUE INDEX tickets_number ON tickets (workspace_id, number);

CREATE TABLE resolutions (
    workspace_id identifier NOT NULL,
    id identifier NOT NULL,
    ticket_id identifier NOT NULL,
    cycle integer NOT NULL CHECK (cycle > 0),
    resolution_note text CHECK (length(resolution_note) <= 5000),
    customer_satisfaction smallint CHECK (customer_satisfaction BETWEEN 1 AND 10),
    satisfaction_source text CHECK (satisfaction_source IN ('api', 'agent', 'customer')),
    resolution_time integer CHECK (resolution_time BETWEEN 0 AND 5256000),
    root_cause text CHECK (length(root_cause) BETWEEN 1 AND 100),
    agent_id identifier,
    agent_name text,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    response_met boolean,
    resolution_met boolean,
    response_due_at instant,
    resolution_due_at instant,
    first_response_at instant,
    resolved_at instant NOT NULL,
    closed_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id),
    CHECK ((customer_satisfaction IS NULL) = (satisfaction_source IS NULL))
);
CREATE UNIQUE INDEX resolutions_cycle ON resolutions (workspace_id, ticket_id, cycle);

CREATE TABLE comments (
    workspace_id identifier NOT NULL,
    id identifier NOT NULL,
    ticket_id identifier NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    body text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    visibility text NOT NULL CHECK (visibility IN ('public', 'internal')),
    author_type text NOT NULL CHECK (author_type IN ('user', 'contact', 'system')),
    author_id text NOT NULL,
    author_name text NOT NULL,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id)
);
CREATE INDEX comments_of_ticket ON comments (workspace_id, ticket_id, position);

-- An event is history, audit line, webhook payload and feed entry in one. `position` orders the events of one ticket:
-- it is drawn after the ticket's row is locked. `transaction_id` lets a feed hold back what is not yet settled.
CREATE TABLE events (
    workspace_id identifier NOT NULL,
    id identifier NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL,
    ticket_id identifier NOT NULL,
    actor_type text NOT NULL CHECK (actor_type IN ('user', 'key', 'contact', 'system')),
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    created_at instant NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id)
);
CREATE INDEX events_of_ticket ON events (workspace_id, ticket_id, position);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
