-- The agency, its workspaces, the people and the keys.
--
-- Every tenant table's primary key and every unique index begins with workspace_id, so that the tables can be
-- spread over machines by workspace and no query can reach past it by accident.

CREATE DOMAIN identifier AS text COLLATE "C" CHECK (length(VALUE) BETWEEN 1 AND 64);
CREATE DOMAIN instant AS timestamptz(0);

CREATE TABLE agencies (
    id identifier PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at instant NOT NULL
);

CREATE TABLE workspaces (
    id identifier PRIMARY KEY,
    agency_id identifier NOT NULL REFERENCES agencies,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    is_home boolean NOT NULL DEFAULT false,
    tier text NOT NULL DEFAULT 'enterprise' CHECK (tier IN ('free', 'professional', 'business', 'enterprise')),
    minute_limit integer CHECK (minute_limit > 0),
    day_limit integer CHECK (day_limit > 0),
    reopen_window_days integer NOT NULL DEFAULT 14 CHECK (reopen_window_days BETWEEN 0 AND 3650),
    branding jsonb NOT NULL DEFAULT '{}',
    created_at instant NOT NULL,
    updated_at instant NOT NULL
);

CREATE TABLE users (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    role text NOT NULL CHECK (role IN ('admin', 'agent')),
    active boolean NOT NULL DEFAULT true,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX users_email ON users (workspace_id, lower(email));
CREATE INDEX users_name ON users (workspace_id, lower(name), id);

CREATE TABLE api_keys (
    workspace_id identifier NOT NULL REFERENCES workspaces,
    id identifier NOT NULL,
    user_id identifier,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
    key_hint text NOT NULL,
    expires_at instant,
    retires_at instant, -- set by a rotation: the key ends then, or at expires_at if that is sooner
    revoked_at instant,
    last_used_at instant,
    created_at instant NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);
-- The one look-up that cannot name a workspace: it is how the workspace becomes known. Not unique, because a unique
-- index would have to begin with workspace_id; the secret's 256 random bits are what makes it so.
CREATE INDEX api_keys_hash ON api_keys (key_hash);

-- Ticket numbers: one sequence a workspace, made with it. A sequence never locks, so numbers may have gaps.
CREATE SCHEMA numbers;
