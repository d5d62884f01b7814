//! `POST /apply`: a configuration is put in use, and watched if that is asked for.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::api::{json, problem};
use crate::reload::{
    ApplyFault, Condition, Control, DEFAULT_CONDITIONS, GUARD_MAX, GUARD_MIN, Guard, Wanted,
};
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    path: PathBuf,
    guard_ms: Option<u64>,
    rollback_if: Option<Vec<String>>,
}

impl Order {
    fn read(body: &[u8]) -> Result<Wanted, String> {
        let order: Self = serde_json::from_slice(body).map_err(|e| {
            format!("The body is not {{\"path\": …, \"guard_ms\": …, \"rollback_if\": […]}}: {e}.")
        })?;
        if !order.path.is_absolute() {
            return Err("path has to be an absolute one.".to_owned());
        }
        let Some(ms) = order.guard_ms else {
            return match order.rollback_if {
                Some(_) => Err("rollback_if needs guard_ms.".to_owned()),
                None => Ok(Wanted {
                    file: order.path,
                    guard: None,
                }),
            };
        };
        let window = Duration::from_millis(ms);
        if !(GUARD_MIN..=GUARD_MAX).contains(&window) {
            return Err("guard_ms is from a second to a day.".to_owned());
        }
        let written = order
            .rollback_if
            .unwrap_or_else(|| vec![DEFAULT_CONDITIONS.to_owned()]);
        let conditions = Condition::parse_all(&written.join(","))?;
        Ok(Wanted {
            file: order.path,
            guard: Some(Guard { window, conditions }),
        })
    }
}

pub fn apply(control: &Control, body: &[u8]) -> Reply {
    let wanted = match Order::read(body) {
        Ok(wanted) => wanted,
        Err(detail) => return problem(400, &detail),
    };
    let is_watched = wanted.guard.is_some();
    match control.apply(wanted) {
        Ok(applied) => {
            let text = applied.changes.to_string();
            let answer = serde_json::json!({
                "ok": true, "id": applied.id, "watching": is_watched,
                "changes": applied.changes, "text": text, "warnings": applied.warnings,
            });
            json(if is_watched { 202 } else { 200 }, &answer)
        }
        Err(ApplyFault::Config(problems)) => {
            json(422, &serde_json::json!({ "ok": false, "problems": problems }))
        }
        Err(fault) => problem(status_of(&fault), &fault.to_string()),
    }
}

fn status_of(fault: &ApplyFault) -> u16 {
    match fault {
        ApplyFault::Config(_) => 422,
        ApplyFault::NoFile => 501,
        ApplyFault::Watching(_) | ApplyFault::Upgrading | ApplyFault::Stopping | ApplyFault::Unsettled(_) => {
            409
        }
        ApplyFault::File(_) => 400,
        ApplyFault::Disk(_) => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_conditions_has_those_of_the_house_and_nonsense_is_refused() {
        let guard = |body: &str| Order::read(body.as_bytes()).unwrap().guard;
        assert_eq!(guard(r#"{"path":"/a"}"#), None);
        let conditions = |text| Condition::parse_all(text).unwrap();
        let usual = guard(r#"{"path":"/a","guard_ms":60000}"#).unwrap();
        assert_eq!(usual.conditions, conditions(DEFAULT_CONDITIONS));
        let own = guard(r#"{"path":"/a","guard_ms":1000,"rollback_if":["5xx>5%","p95>1s"]}"#).unwrap();
        assert_eq!(own.conditions, conditions("5xx>5%,p95>1s"));
        for body in [
            "",
            r#"{"path":"a"}"#,
            r#"{"path":"/a","guard_ms":999}"#,
            r#"{"path":"/a","guard_ms":86400001}"#,
            r#"{"path":"/a","rollback_if":["5xx>2x"]}"#,
            r#"{"path":"/a","guard_ms":1000,"rollback_if":[]}"#,
            r#"{"path":"/a","guard_ms":1000,"rollback_if":["5xx"]}"#,
            r#"{"path":"/a","more":1}"#,
        ] {
            assert!(Order::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
