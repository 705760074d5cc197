-- One text serves SQLite and PostgreSQL: {{id}} becomes the dialect's generated
-- 64-bit primary key; TEXT compares by bytes on both. Times are milliseconds
-- since 1970 in UTC (0: never), JSON is TEXT, secrets are sealed by
-- internal/secret before they come here.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Accounts: who may do what (internal/account).

CREATE TABLE users (
    id            {{id}},
    username      TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL DEFAULT '',
    realname      TEXT NOT NULL DEFAULT '',
    comment       TEXT NOT NULL DEFAULT '',
    password_hash TEXT NOT NULL,
    sysadmin      BOOLEAN NOT NULL DEFAULT FALSE,
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL
);

CREATE TABLE projects (
    id            {{id}},
    name          TEXT NOT NULL UNIQUE,
    owner_id      BIGINT NOT NULL,
    public        BOOLEAN NOT NULL DEFAULT FALSE,
    metadata      TEXT NOT NULL DEFAULT '{}', -- Harbor's project metadata, a JSON object of strings, without "public"
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL
);

CREATE TABLE project_members (
    id            {{id}},
    project_id    BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role_id       BIGINT NOT NULL, -- 1 project admin, 2 developer, 3 guest, 4 maintainer, 5 limited guest
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL,
    UNIQUE (project_id, user_id)
);

CREATE TABLE robots (
    id            {{id}},
    name          TEXT NOT NULL,             -- without prefix; project robots: project+name
    level         TEXT NOT NULL,             -- system or project
    project_id    BIGINT NOT NULL DEFAULT 0, -- 0: system level
    description   TEXT NOT NULL DEFAULT '',
    secret_hash   TEXT NOT NULL,
    permissions   TEXT NOT NULL,             -- JSON as in Harbor's API
    disabled      BOOLEAN NOT NULL DEFAULT FALSE,
    duration      BIGINT NOT NULL,           -- days, -1: never expires
    expires_at    BIGINT NOT NULL,           -- seconds since 1970 as Harbor has it, -1: never
    creator_type  TEXT NOT NULL DEFAULT '',
    creator_ref   BIGINT NOT NULL DEFAULT 0,
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL,
    UNIQUE (name)
);

-- The home registry's index: what is in its storage (internal/home).

CREATE TABLE repositories (
    id            {{id}},
    project_id    BIGINT NOT NULL REFERENCES projects (id),
    name          TEXT NOT NULL UNIQUE, -- with the project: library/alpine
    description   TEXT NOT NULL DEFAULT '',
    pull_count    BIGINT NOT NULL DEFAULT 0,
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL
);
CREATE INDEX repositories_project ON repositories (project_id);

CREATE TABLE artifacts (
    id                  {{id}},
    project_id          BIGINT NOT NULL,
    repository_id       BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest              TEXT NOT NULL,
    type                TEXT NOT NULL,             -- IMAGE, CHART, ... as Harbor says it
    media_type          TEXT NOT NULL,             -- of the config (Harbor: media_type)
    manifest_media_type TEXT NOT NULL,
    artifact_type       TEXT NOT NULL DEFAULT '',
    subject_digest      TEXT NOT NULL DEFAULT '',  -- this artifact refers to it (OCI subject)
    accessory_of        TEXT NOT NULL DEFAULT '',  -- Harbor counts it as an accessory of this digest (the subject, or what a cosign tag names)
    accessory_type      TEXT NOT NULL DEFAULT '',  -- signature.cosign, ... as Harbor says it
    size                BIGINT NOT NULL,           -- bytes: manifest, config and layers
    manifest_size       BIGINT NOT NULL,           -- bytes of the manifest alone
    extra_attrs         TEXT NOT NULL DEFAULT '{}',
    annotations         TEXT NOT NULL DEFAULT '{}',
    push_time           BIGINT NOT NULL,
    pull_time           BIGINT NOT NULL DEFAULT 0,
    UNIQUE (repository_id, digest)
);
CREATE INDEX artifacts_subject ON artifacts (repository_id, subject_digest);
CREATE INDEX artifacts_accessory ON artifacts (repository_id, accessory_of);
CREATE INDEX artifacts_digest ON artifacts (digest);

CREATE TABLE artifact_references (
    parent_id    BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    child_digest TEXT NOT NULL,
    position     BIGINT NOT NULL,
    platform     TEXT NOT NULL DEFAULT '', -- JSON, empty: none
    annotations  TEXT NOT NULL DEFAULT '',
    urls         TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (parent_id, position)
);
CREATE INDEX artifact_references_child ON artifact_references (child_digest);

CREATE TABLE artifact_blobs (
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    digest      TEXT NOT NULL,
    size        BIGINT NOT NULL,
    PRIMARY KEY (artifact_id, digest)
);
CREATE INDEX artifact_blobs_digest ON artifact_blobs (digest);

CREATE TABLE tags (
    id            {{id}},
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    artifact_id   BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    push_time     BIGINT NOT NULL,
    pull_time     BIGINT NOT NULL DEFAULT 0,
    UNIQUE (repository_id, name)
);
CREATE INDEX tags_artifact ON tags (artifact_id);

CREATE TABLE labels (
    id            {{id}},
    name          TEXT NOT NULL,
    description   TEXT NOT NULL DEFAULT '',
    color         TEXT NOT NULL DEFAULT '',
    scope         TEXT NOT NULL,             -- g: global, p: project
    project_id    BIGINT NOT NULL DEFAULT 0, -- 0: global
    creation_time BIGINT NOT NULL,
    update_time   BIGINT NOT NULL,
    UNIQUE (scope, project_id, name)
);

CREATE TABLE artifact_labels (
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    label_id    BIGINT NOT NULL REFERENCES labels (id) ON DELETE CASCADE,
    PRIMARY KEY (artifact_id, label_id)
);

-- A change that was about to be made in the storage. A row that outlives the
-- process tells which references must be compared with the storage again.
CREATE TABLE intents (
    id         {{id}},
    owner      TEXT NOT NULL,   -- the process that made it
    repository TEXT NOT NULL,
    reference  TEXT NOT NULL,   -- tag or digest
    operation  TEXT NOT NULL,   -- push or delete
    time       BIGINT NOT NULL
);

-- What happened to the home registry, in order, until replication has taken it
-- into work. A row is written in the transaction that changes the index.
CREATE TABLE events (
    id         {{id}},
    type       TEXT NOT NULL,            -- push_artifact, delete_artifact, create_tag, delete_tag
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    tags       TEXT NOT NULL DEFAULT '[]', -- JSON array: the tags that the change concerns
    labels     TEXT NOT NULL DEFAULT '[]', -- JSON array: names of the artifact's labels at that time
    artifact   TEXT NOT NULL DEFAULT '',   -- artifact type: IMAGE, ...
    operator   TEXT NOT NULL DEFAULT '',   -- who did it
    time       BIGINT NOT NULL
);

-- Replication (internal/replication).

CREATE TABLE registries (
    id              {{id}},
    name            TEXT NOT NULL UNIQUE,
    description     TEXT NOT NULL DEFAULT '',
    type            TEXT NOT NULL,
    url             TEXT NOT NULL,
    credential_type TEXT NOT NULL DEFAULT '',
    access_key      TEXT NOT NULL DEFAULT '',
    access_secret   TEXT NOT NULL DEFAULT '', -- sealed
    insecure        BOOLEAN NOT NULL DEFAULT FALSE,
    ca_certificate  TEXT NOT NULL DEFAULT '',
    status          TEXT NOT NULL DEFAULT '', -- healthy, unhealthy
    status_reason   TEXT NOT NULL DEFAULT '',
    checked_time    BIGINT NOT NULL DEFAULT 0,
    creation_time   BIGINT NOT NULL,
    update_time     BIGINT NOT NULL
);

CREATE TABLE replication_policies (
    id                           {{id}},
    name                         TEXT NOT NULL UNIQUE,
    description                  TEXT NOT NULL DEFAULT '',
    src_registry_id              BIGINT NOT NULL DEFAULT 0, -- 0: home
    dest_registry_id             BIGINT NOT NULL DEFAULT 0, -- 0: home
    dest_namespace               TEXT NOT NULL DEFAULT '',
    dest_namespace_replace_count BIGINT NOT NULL DEFAULT -1,
    filters                      TEXT NOT NULL DEFAULT 'null', -- JSON as in Harbor's API
    trigger_type                 TEXT NOT NULL DEFAULT 'manual',
    trigger_cron                 TEXT NOT NULL DEFAULT '',
    deletion                     BOOLEAN NOT NULL DEFAULT FALSE,
    override                     BOOLEAN NOT NULL DEFAULT FALSE,
    enabled                      BOOLEAN NOT NULL DEFAULT FALSE,
    speed                        BIGINT NOT NULL DEFAULT 0, -- kilobit/s, 0: unlimited
    copy_by_chunk                BOOLEAN NOT NULL DEFAULT FALSE,
    single_active                BOOLEAN NOT NULL DEFAULT FALSE,
    creation_time                BIGINT NOT NULL,
    update_time                  BIGINT NOT NULL
);

CREATE TABLE executions (
    id          {{id}},
    policy_id   BIGINT NOT NULL REFERENCES replication_policies (id) ON DELETE CASCADE,
    trigger_type TEXT NOT NULL,            -- manual, scheduled, event_based
    status      TEXT NOT NULL,             -- InProgress, Succeed, Failed, Stopped
    status_text TEXT NOT NULL DEFAULT '',
    planned     BOOLEAN NOT NULL DEFAULT FALSE, -- every task of it is there
    total       BIGINT NOT NULL DEFAULT 0,
    succeed     BIGINT NOT NULL DEFAULT 0,
    failed      BIGINT NOT NULL DEFAULT 0,
    in_progress BIGINT NOT NULL DEFAULT 0,
    stopped     BIGINT NOT NULL DEFAULT 0,
    start_time  BIGINT NOT NULL,
    end_time    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX executions_policy ON executions (policy_id, id);

CREATE TABLE tasks (
    id                {{id}},
    execution_id      BIGINT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    job_id            BIGINT NOT NULL DEFAULT 0, -- in the queue, 0: none
    status            TEXT NOT NULL,  -- Pending, InProgress, Succeed, Failed, Stopped
    operation         TEXT NOT NULL,  -- copy, deletion, tag deletion
    resource_type     TEXT NOT NULL,  -- image, artifact
    src_repository    TEXT NOT NULL,
    dest_repository   TEXT NOT NULL,
    items             TEXT NOT NULL DEFAULT '[]', -- JSON: what it does, artifact by artifact
    bytes_total       BIGINT NOT NULL DEFAULT 0,  -- bytes that the destination lacks
    bytes_sent        BIGINT NOT NULL DEFAULT 0,
    attempts          BIGINT NOT NULL DEFAULT 0,
    reason            TEXT NOT NULL DEFAULT '',   -- why it failed, in one line
    next_attempt_time BIGINT NOT NULL DEFAULT 0,
    start_time        BIGINT NOT NULL,
    end_time          BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX tasks_execution ON tasks (execution_id, id);

CREATE TABLE task_logs (
    id      {{id}},
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    time    BIGINT NOT NULL,
    level   TEXT NOT NULL,
    text    TEXT NOT NULL
);
CREATE INDEX task_logs_task ON task_logs (task_id, id);

-- What a rule put at a destination: only this may be deleted there.
CREATE TABLE placements (
    registry_id BIGINT NOT NULL,
    repository  TEXT NOT NULL, -- at the destination
    reference   TEXT NOT NULL, -- tag or digest
    digest      TEXT NOT NULL,
    policy_id   BIGINT NOT NULL,
    time        BIGINT NOT NULL,
    PRIMARY KEY (registry_id, repository, reference)
);

-- How far an interrupted upload of a large blob came.
CREATE TABLE upload_checkpoints (
    name  TEXT PRIMARY KEY, -- destination, repository and digest
    value TEXT NOT NULL,
    time  BIGINT NOT NULL
);

-- Durable work (internal/queue).

CREATE TABLE jobs (
    id          {{id}},
    kind        TEXT NOT NULL,
    key         TEXT NOT NULL,             -- jobs of one key never run at the same time; at most one of them waits
    payload     TEXT NOT NULL,
    priority    BIGINT NOT NULL DEFAULT 0, -- higher first
    state       TEXT NOT NULL,             -- waiting, running
    run_at      BIGINT NOT NULL,
    attempt     BIGINT NOT NULL DEFAULT 0,
    owner       TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    stop        BOOLEAN NOT NULL DEFAULT FALSE,
    checkpoint  TEXT NOT NULL DEFAULT '',
    creation_time BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_waiting ON jobs (key, kind) WHERE state = 'waiting';
CREATE UNIQUE INDEX jobs_running ON jobs (key, kind) WHERE state = 'running';
CREATE INDEX jobs_next ON jobs (kind, priority DESC, run_at, id) WHERE state = 'waiting';
