-- Files on tickets and comments. The bytes lie in the file store under <workspace>/<id>; this row says what they are.
--
-- A row stands before its file does and goes after it, so neither a crash nor a full disk leaves a file that nobody
-- knows of, or shows a row whose file is gone: `uploading` (bytes are on their way), `kept` (complete; the only state
-- that anybody sees as a file), `dropping` (the file is to be deleted, then the row), `erasing` (the file is to be
-- deleted, the row stays), `erased`.
CREATE TABLE attachments (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL CHECK (id ~ '^[A-Za-z0-9_]+$'),
    state text COLLATE "C" NOT NULL DEFAULT 'uploading'
        CHECK (state IN ('uploading', 'kept', 'dropping', 'erasing', 'erased')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    claimed_type text CHECK (length(claimed_type) BETWEEN 1 AND 255),
    content_type text NOT NULL DEFAULT 'application/octet-stream' CHECK (length(content_type) BETWEEN 1 AND 255),
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    sha256 text COLLATE "C" CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    contact_id identifier,
    ticket_id identifier,
    comment_id identifier,
    visibility text CHECK (visibility IN ('public', 'internal')),
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
    FOREIGN KEY (workspace_id, ticket_id) REFERENCES tickets (workspace_id, id),
    FOREIGN KEY (workspace_id, comment_id) REFERENCES comments (workspace_id, id),
    CHECK (state <> 'kept' OR sha256 IS NOT NULL),
    CHECK ((ticket_id IS NULL) = (visibility IS NULL)),
    CHECK (comment_id IS NULL OR ticket_id IS NOT NULL),
    CHECK (ticket_id IS NULL OR state IN ('kept', 'erasing', 'erased'))
);
CREATE INDEX attachments_of_ticket ON attachments (workspace_id, ticket_id, created_at, id)
    WHERE ticket_id IS NOT NULL;
CREATE INDEX attachments_of_comment ON attachments (workspace_id, comment_id) WHERE comment_id IS NOT NULL;
CREATE INDEX attachments_of_contact ON attachments (workspace_id, contact_id) WHERE contact_id IS NOT NULL;
-- What the timer looks for: small, whatever the number of files that lie where they belong.
CREATE INDEX attachments_loose ON attachments (created_at) WHERE ticket_id IS NULL;
CREATE INDEX attachments_leaving ON attachments (workspace_id, id) WHERE state IN ('dropping', 'erasing');

-- A file that is written before the transaction with its row commits, as an import does. It is announced in a transaction
-- of its own; the writer deletes the announcement in its long one before it writes. So the announcement is locked while
-- the writer lives, gone when it commits, and free for the timer, which deletes the file, when it fails or dies.
-- The workspace itself may come with the same transaction.
CREATE TABLE file_announcements (
    workspace_id identifier NOT NULL,
    id identifier NOT NULL CHECK (id ~ '^[A-Za-z0-9_]+$'),
    PRIMARY KEY (workspace_id, id)
);
