-- Mail in: every mail that came, and what became of it.

CREATE TABLE inbound_mails (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32), -- by which the same mail is known when it comes twice
    source text COLLATE "C" NOT NULL CHECK (source IN ('api', 'imap', 'command')),
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('ticket', 'comment', 'follow_up', 'stored')),
    matched_by text COLLATE "C" CHECK (matched_by IN ('references', 'address', 'subject')), -- what named the ticket
    automatic text CHECK (length(automatic) BETWEEN 1 AND 200), -- why a machine is taken for its sender, in words
    problem text CHECK (length(problem) BETWEEN 1 AND 1000), -- what could not be understood, in words
    ticket_id identifier,
    comment_id identifier,
    contact_id identifier, -- the customer who is taken for its sender
    message_id text CHECK (length(message_id) <= 998),
    from_name text CHECK (length(from_name) <= 200),
    from_address text CHECK (length(from_address) <= 320),
    subject text CHECK (length(subject) <= 1000),
    headers jsonb NOT NULL DEFAULT '[]', -- [[name, value], …]
    full_text text CHECK (length(full_text) <= 1000000), -- with what it quotes
    size bigint NOT NULL CHECK (size >= 0),
    received_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id),
    FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
-- The same mail becomes one thing, however often it is handed in.
CREATE UNIQUE INDEX inbound_mails_once ON inbound_mails (workspace_id, fingerprint);
CREATE INDEX inbound_mails_outcome ON inbound_mails (workspace_id, outcome, id);
CREATE INDEX inbound_mails_ticket ON inbound_mails (workspace_id, ticket_id, id);
CREATE INDEX inbound_mails_contact ON inbound_mails (workspace_id, contact_id);
CREATE INDEX inbound_mails_from ON inbound_mails (workspace_id, lower(from_address));

-- Mails as they came, in the file store under <workspace>/<mail_id>. The row stands before the file and goes after it,
-- so no file lies there that nobody knows of.
CREATE TABLE inbound_raws (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    mail_id identifier NOT NULL,
    delete_after instant NOT NULL,
    announced_at instant NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, mail_id)
);
CREATE INDEX inbound_raws_old ON inbound_raws (delete_after);

-- Mails of a mailbox that could not be taken in yet. They are tried again, and then taken in as they are.
CREATE TABLE inbound_failures (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    mailbox text COLLATE "C" NOT NULL CHECK (length(mailbox) BETWEEN 1 AND 500), -- user, host and folder
    uid_validity bigint NOT NULL,
    uid bigint NOT NULL,
    failures integer NOT NULL CHECK (failures >= 0), -- of its own; not those of the database or the file store
    words text NOT NULL CHECK (length(words) <= 1000),
    failed_at instant NOT NULL,
    next_attempt_at instant NOT NULL,
    PRIMARY KEY (workspace_id, mailbox, uid_validity, uid)
);
