-- Mail out: what a workspace has set, and every mail with what became of it.

-- Secrets of the installation, made once and never shown. 'mail' signs what ties a mail to its ticket.
CREATE TABLE secrets (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL CHECK (length(value) >= 32)
);
INSERT INTO secrets (name, value)
VALUES ('mail', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- A workspace without a row has the defaults: everything on, the operator's sender address.
CREATE TABLE mail_settings (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    enabled boolean NOT NULL DEFAULT true,
    sender_address text CHECK (length(sender_address) BETWEEN 3 AND 254),
    sender_name text CHECK (length(sender_name) BETWEEN 1 AND 100),
    reply_to text CHECK (length(reply_to) BETWEEN 3 AND 254),
    inbound_address text CHECK (length(inbound_address) BETWEEN 3 AND 254), -- mail to it is read by Ticketry
    kinds_off text[] NOT NULL DEFAULT '{}' CHECK (cardinality(kinds_off) <= 20),
    updated_at instant NOT NULL,
    PRIMARY KEY (workspace_id)
);

-- What two names of one mailbox have in common, as base_address() in ticketry/mail/sending/rules.py.
CREATE FUNCTION base_address(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    lower(regexp_replace(address, '\+[^@]*@', '@'));
CREATE INDEX mail_settings_senders ON mail_settings (base_address(sender_address));
CREATE INDEX mail_settings_inbound ON mail_settings (base_address(inbound_address));

CREATE TABLE mail_templates (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    kind text COLLATE "C" NOT NULL,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 500),
    body_text text NOT NULL CHECK (length(body_text) BETWEEN 1 AND 20000),
    body_html text NOT NULL CHECK (length(body_html) BETWEEN 1 AND 50000),
    updated_at instant NOT NULL,
    PRIMARY KEY (workspace_id, kind)
);

-- A mail to one person. What it says is filled in at its first attempt and stays the same over all others. While it is
-- pending, next_attempt_at says when the next attempt may begin, and leased_until, by the database's clock, until when
-- the process that is at it has it for itself.
CREATE TABLE mail_messages (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    kind text COLLATE "C" NOT NULL,
    ticket_id identifier, -- null where it is about the workspace
    event_id identifier, -- what it tells
    comment_id identifier, -- what it quotes
    recipient_type text COLLATE "C" NOT NULL CHECK (recipient_type IN ('contact', 'user')),
    recipient_id identifier NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'sent', 'failed', 'outbox', 'skipped')),
    reason text CHECK (length(reason) <= 1000), -- why it is not sent, in words
    wanted boolean NOT NULL DEFAULT false, -- somebody asked for it to be sent: it does not end in the outbox
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    attempts_before integer NOT NULL DEFAULT 0 CHECK (attempts_before BETWEEN 0 AND attempts), -- it was last asked for again
    next_attempt_at instant,
    leased_until instant,
    created_at instant NOT NULL,
    sent_at instant,
    address text CHECK (length(address) BETWEEN 3 AND 254),
    message_id text CHECK (length(message_id) <= 998),
    headers jsonb, -- [[name, value], …]
    subject text,
    body_text text,
    body_html text,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id),
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK (status <> 'sent' OR sent_at IS NOT NULL)
);
-- An event tells each person once, however often it is handed over.
CREATE UNIQUE INDEX mail_messages_once ON mail_messages (workspace_id, event_id, recipient_id, kind);
CREATE INDEX mail_messages_due ON mail_messages (workspace_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX mail_messages_of_status ON mail_messages (workspace_id, status, id);
CREATE INDEX mail_messages_of_ticket ON mail_messages (workspace_id, ticket_id, id);
CREATE INDEX mail_messages_old ON mail_messages (coalesce(sent_at, created_at))
    WHERE status IN ('sent', 'failed', 'skipped');
CREATE INDEX mail_messages_of_recipient ON mail_messages (workspace_id, recipient_id, created_at);

CREATE TABLE mail_attempts (
    workspace_id identifier NOT NULL,
    message_id identifier NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    at instant NOT NULL,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('sent', 'deferred', 'failed')),
    code smallint, -- the server's, if it answered
    words text NOT NULL CHECK (length(words) <= 1000), -- the server's answer, or what went wrong
    PRIMARY KEY (workspace_id, message_id, attempt),
    FOREIGN KEY (workspace_id, message_id) REFERENCES mail_messages (workspace_id, id) ON DELETE CASCADE
);
