//! Closed sets of words, spelled once: the same text in JSON, in SQL and in error messages.

/// Declares an enum whose variants are written as fixed words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = concat!("Written `", $word, "`.")] $variant),+
        }

        impl Word for $name {
            const ALL: &'static [$name] = &[$($name::$variant),+];

            fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let word = <&str>::deserialize(deserializer)?;
                $name::from_word(word).ok_or_else(|| serde::de::Error::custom(format!("unknown word {word}")))
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<$name> {
                $name::from_word(value.as_str()?).ok_or(rusqlite::types::FromSqlError::InvalidType)
            }
        }
    };
}

/// An enum of fixed words.
pub trait Word: Copy + 'static {
    /// Every value, in the order of declaration.
    const ALL: &'static [Self];

    /// The word for this value.
    fn as_str(self) -> &'static str;

    /// The value for a word, or nothing.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == word)
    }
}

words! {
    /// What a user may do: a member keeps a diary, an admin also edits the exercise catalogue.
    Role { Member = "member", Admin = "admin" }
}

words! {
    /// The muscle group an exercise trains first.
    Muscle {
        Chest = "chest", Back = "back", Shoulders = "shoulders", Biceps = "biceps", Triceps = "triceps",
        Forearms = "forearms", Core = "core", Quads = "quads", Hamstrings = "hamstrings", Glutes = "glutes",
        Calves = "calves", FullBody = "full_body",
    }
}

words! {
    /// What an exercise needs.
    Equipment {
        Barbell = "barbell", Dumbbell = "dumbbell", Kettlebell = "kettlebell", Machine = "machine",
        Cable = "cable", Bodyweight = "bodyweight", Band = "band", Other = "other",
    }
}

words! {
    /// A day of a weekly plan; weeks start on Monday.
    Weekday {
        Monday = "monday", Tuesday = "tuesday", Wednesday = "wednesday", Thursday = "thursday",
        Friday = "friday", Saturday = "saturday", Sunday = "sunday",
    }
}
