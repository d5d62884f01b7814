-- Weekly plans: at most one workout a day. A workout in a plan cannot be deleted (RESTRICT): the plan of
-- somebody else would silently lose a day.

CREATE TABLE splits (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    owner       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 80),
    description TEXT    NOT NULL CHECK (length(description) <= 2000),
    public      INTEGER NOT NULL CHECK (public IN (0, 1)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (owner, name)
) STRICT;

CREATE INDEX splits_in_catalogue ON splits (name, id) WHERE public = 1;

CREATE TABLE split_days (
    split   INTEGER NOT NULL REFERENCES splits (id) ON DELETE CASCADE,
    day     TEXT    NOT NULL CHECK (day IN ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')),
    workout INTEGER NOT NULL REFERENCES workouts (id) ON DELETE RESTRICT,
    PRIMARY KEY (split, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX split_days_by_workout ON split_days (workout);
