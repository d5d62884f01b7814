-- Accounts, and the two catalogues everybody reads: exercises and workouts.
-- AUTOINCREMENT where an id is part of a URL and of a cache group: a deleted id is never given out again.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL COLLATE NOCASE UNIQUE CHECK (length(name) BETWEEN 3 AND 32),
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('member', 'admin')),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE exercises (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE CHECK (length(name) BETWEEN 1 AND 80),
    muscle      TEXT NOT NULL CHECK (muscle IN ('chest', 'back', 'shoulders', 'biceps', 'triceps', 'forearms', 'core',
                                                'quads', 'hamstrings', 'glutes', 'calves', 'full_body')),
    equipment   TEXT NOT NULL CHECK (equipment IN ('barbell', 'dumbbell', 'kettlebell', 'machine', 'cable',
                                                   'bodyweight', 'band', 'other')),
    description TEXT NOT NULL CHECK (length(description) <= 2000)
) STRICT;

CREATE INDEX exercises_by_muscle ON exercises (muscle, name);

CREATE TABLE workouts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    owner       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 80),
    description TEXT    NOT NULL CHECK (length(description) <= 2000),
    public      INTEGER NOT NULL CHECK (public IN (0, 1)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (owner, name)
) STRICT;

CREATE INDEX workouts_in_catalogue ON workouts (name, id) WHERE public = 1;

-- The ordered list of what a workout asks for. Weights are whole grams, so that sums are exact.
CREATE TABLE workout_exercises (
    workout  INTEGER NOT NULL REFERENCES workouts (id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    exercise INTEGER NOT NULL REFERENCES exercises (id) ON DELETE RESTRICT,
    sets     INTEGER NOT NULL CHECK (sets BETWEEN 1 AND 20),
    reps     INTEGER NOT NULL CHECK (reps BETWEEN 1 AND 1000),
    weight_g INTEGER NOT NULL CHECK (weight_g BETWEEN 0 AND 1000000),
    PRIMARY KEY (workout, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX workout_exercises_by_exercise ON workout_exercises (exercise);
