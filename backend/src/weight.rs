//! Weights in whole grams: sums are exact, and 62.5 kg comes back as 62.5.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

const GRAMS_PER_KG: f64 = 1000.0;

/// A weight, or a volume (the sum of weight times repetitions); kilograms in JSON, grams in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grams(pub i64);

impl Grams {
    /// The weight of `kg` kilograms; nothing if that is not a whole number of grams.
    pub fn from_kg(kg: f64) -> Option<Grams> {
        let grams = (kg * GRAMS_PER_KG).round();
        // A decimal such as 2.205 has no exact binary form: allow for that error, not for a tenth of a gram.
        let whole = (kg * GRAMS_PER_KG - grams).abs() < 1e-6 && grams.abs() < 1e12;
        whole.then_some(Grams(grams as i64))
    }
}

impl Serialize for Grams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / GRAMS_PER_KG)
    }
}

impl ToSql for Grams {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Grams {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Grams> {
        value.as_i64().map(Grams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilograms_with_up_to_three_decimals_are_whole_grams() {
        for (kg, grams) in [
            (62.5, 62_500),
            (2.205, 2_205),
            (0.001, 1),
            (0.0, 0),
            (1000.0, 1_000_000),
        ] {
            assert_eq!(Grams::from_kg(kg), Some(Grams(grams)), "{kg}");
        }
        for kg in [0.000_5, 62.500_1, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Grams::from_kg(kg), None, "{kg}");
        }
    }

    #[test]
    fn every_weight_survives_the_way_through_json() {
        for grams in (0..1_000_000).step_by(37) {
            let json = serde_json::to_string(&Grams(grams)).unwrap();
            assert_eq!(Grams::from_kg(json.parse().unwrap()), Some(Grams(grams)));
        }
    }
}
