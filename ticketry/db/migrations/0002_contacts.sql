-- The customers of a workspace.

CREATE TABLE contacts (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    email text CHECK (length(email) BETWEEN 3 AND 254),
    phone text CHECK (phone ~ '^\+[1-9][0-9]{1,14}$'),
    company text CHECK (length(company) BETWEEN 1 AND 200),
    external_id text CHECK (length(external_id) BETWEEN 1 AND 200),
    tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 50),
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX contacts_email ON contacts (workspace_id, lower(email));
CREATE INDEX contacts_name ON contacts (workspace_id, lower(name), id);
CREATE INDEX contacts_external_id ON contacts (workspace_id, external_id);
