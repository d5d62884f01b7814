//! `${NAME}` and `${NAME:-default}` of the environment in a string.
//!
//! Names of the environment are in capitals; lower-case names are variables of a request and stay.

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a reference cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Looks like a reference to the environment, but is none.
    Malformed(String),
    /// The variable is not set and the reference has no default.
    Unset(String),
}

impl Fault {
    /// The beginning of the reference as it stands in the text.
    pub fn text(&self) -> String {
        match self {
            Self::Malformed(text) => format!("${{{text}"),
            Self::Unset(name) => format!("${{{name}}}"),
        }
    }
}

/// What becomes of `$${NAME}`, the way to write `${NAME}` without meaning the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// They stay: a template will read them.
    Kept,
    /// They become `${NAME}`: nobody reads the text again.
    Resolved,
}

/// The text with its references replaced; None if there is none. All faults are told.
pub fn expand(text: &str, env: Lookup<'_>, escapes: Escapes) -> Result<Option<String>, Vec<Fault>> {
    let mut out = String::new();
    let mut faults = Vec::new();
    let mut changed = false;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        rest = &reference[2..];
        if !rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') {
            out.push_str(before);
            out.push_str("${");
            continue;
        }
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str(if escapes == Escapes::Kept { "$${" } else { "${" });
            changed |= escapes == Escapes::Resolved;
            continue;
        }
        out.push_str(before);
        match resolve(rest, env) {
            Ok((value, after)) => {
                out.push_str(&value);
                rest = after;
                changed = true;
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    out.push_str(rest);
    Ok(changed.then_some(out))
}

/// The value of the reference whose name begins `text`, and what follows it.
fn resolve<'t>(text: &'t str, env: Lookup<'_>) -> Result<(String, &'t str), Fault> {
    let name_end = text
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    if let Some(after) = rest.strip_prefix('}') {
        let value = env(name).ok_or_else(|| Fault::Unset(name.to_owned()))?;
        return Ok((value, after));
    }
    let default = rest.strip_prefix(":-").and_then(|d| d.split_once('}'));
    let Some((default, after)) = default else {
        let shown: String = text.chars().take_while(|c| *c != '}').take(40).collect();
        return Err(Fault::Malformed(shown));
    };
    // As in a shell, `:-` also stands in for a variable that is set to nothing.
    let value = env(name).filter(|v| !v.is_empty());
    Ok((value.unwrap_or_else(|| default.to_owned()), after))
}

/// Whether the text refers to the environment, well or badly.
pub fn refers(text: &str) -> bool {
    !matches!(expand(text, &|_| None, Escapes::Kept), Ok(None))
}

/// The text written so that [`expand`] with [`Escapes::Resolved`] gives it back.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        rest = &reference[2..];
        let named = rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
        out.push_str(if named { "$${" } else { "${" });
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn expanded(text: &str) -> Option<String> {
        expand(text, &env, Escapes::Resolved).unwrap()
    }

    #[test]
    fn capitals_are_the_environment_and_the_rest_stays() {
        assert_eq!(
            expanded("${HOME}/a/${host}${HOME}").unwrap(),
            "/home/a/${host}/home"
        );
        assert_eq!(expanded("${host} $HOME {HOME} $"), None);
        assert_eq!(expanded("${header:X-A}"), None);
    }

    #[test]
    fn a_default_stands_in_for_unset_and_empty() {
        assert_eq!(expanded("${NOPE:-a:b-}").unwrap(), "a:b-");
        assert_eq!(expanded("${EMPTY:-x}").unwrap(), "x");
        assert_eq!(expanded("${EMPTY}").unwrap(), "");
        assert_eq!(expanded("${HOME:-x}").unwrap(), "/home");
    }

    #[test]
    fn every_fault_is_told() {
        let faults = expand("${A} ${B:+x} ${HOME} ${C", &env, Escapes::Resolved).unwrap_err();
        let malformed = |t: &str| Fault::Malformed(t.into());
        assert_eq!(
            faults,
            [Fault::Unset("A".into()), malformed("B:+x"), malformed("C")]
        );
    }

    #[test]
    fn a_doubled_dollar_means_none_of_it() {
        assert_eq!(expanded("$${HOME}").unwrap(), "${HOME}");
        assert_eq!(expand("$${HOME}", &env, Escapes::Kept), Ok(None));
        assert_eq!(expanded("$${host}"), None);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_read_back(text in "[$ {}A_a:-]{0,20}") {
            let written = escape(&text);
            let read = expand(&written, &env, Escapes::Resolved).unwrap();
            prop_assert_eq!(read.unwrap_or(written), text);
        }
    }
}
