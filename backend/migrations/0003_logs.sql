-- What people did. A log keeps its own sets: it outlives the workout it followed.

CREATE TABLE logs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    owner        INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workout      INTEGER REFERENCES workouts (id) ON DELETE SET NULL,
    performed_on TEXT    NOT NULL CHECK (performed_on IS date(performed_on)),
    note         TEXT    NOT NULL CHECK (length(note) <= 2000),
    created_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX logs_by_owner ON logs (owner, performed_on, id);
CREATE INDEX logs_by_workout ON logs (workout) WHERE workout IS NOT NULL;

-- Entry after entry, set after set, in the order they were performed.
CREATE TABLE log_sets (
    log      INTEGER NOT NULL REFERENCES logs (id) ON DELETE CASCADE,
    entry    INTEGER NOT NULL CHECK (entry >= 0),
    number   INTEGER NOT NULL CHECK (number >= 0),
    exercise INTEGER NOT NULL REFERENCES exercises (id) ON DELETE RESTRICT,
    reps     INTEGER NOT NULL CHECK (reps BETWEEN 1 AND 1000),
    weight_g INTEGER NOT NULL CHECK (weight_g BETWEEN 0 AND 1000000),
    PRIMARY KEY (log, entry, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX log_sets_by_exercise ON log_sets (exercise);
