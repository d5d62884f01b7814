//! A document in TOML as people write it: sections with a line each, and comments.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<Value>),
    /// A list with a line for each item.
    Lines(Vec<Value>),
    Table(Vec<(String, Value)>),
}

/// A key of a section.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub name: String,
    pub value: Value,
    /// What stands behind it.
    pub comment: String,
}

/// `[header]` and its keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    /// Lines of comment above it.
    pub above: Vec<String>,
    /// "[server]", "[[routes]]", or "" for keys at the top.
    pub header: String,
    pub keys: Vec<Key>,
}

/// Comments of values stand in this column, if the values are not longer.
const COMMENT_COLUMN: usize = 38;

impl Section {
    pub fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            ..Self::default()
        }
    }

    /// Adds a key.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Key {
        self.keys.push(Key {
            name: name.to_owned(),
            value: value.into(),
            comment: String::new(),
        });
        let last = self.keys.len() - 1;
        &mut self.keys[last]
    }

    /// Adds a key if there is something to say.
    pub fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        Self::List(texts.iter().cloned().map(Self::Text).collect())
    }
}

/// The whole document.
pub(super) fn print(sections: &[Section]) -> String {
    let mut out = String::new();
    for section in sections {
        if !out.is_empty() {
            out.push('\n');
        }
        for line in &section.above {
            out.push_str("# ");
            out.push_str(&comment(line));
            out.push('\n');
        }
        if !section.header.is_empty() {
            out.push_str(&section.header);
            out.push('\n');
        }
        let width = section
            .keys
            .iter()
            .map(|k| bare(&k.name).len())
            .max()
            .unwrap_or(0);
        for key in &section.keys {
            write_key(key, width, &mut out);
        }
    }
    out
}

fn write_key(key: &Key, width: usize, out: &mut String) {
    let mut line = format!("{:width$} = ", bare(&key.name));
    write(&key.value, &mut line);
    if !key.comment.is_empty() {
        let column = line.chars().count();
        line.push_str(&" ".repeat(COMMENT_COLUMN.saturating_sub(column).max(1)));
        line.push_str("# ");
        line.push_str(&comment(&key.comment));
    }
    out.push_str(&line);
    out.push('\n');
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Lines(items) => {
            out.push_str("[\n");
            for item in items {
                out.push_str("  ");
                write(item, out);
                out.push_str(",\n");
            }
            out.push(']');
        }
        Value::Table(pairs) => {
            out.push_str(if pairs.is_empty() { "{" } else { "{ " });
            for (index, (name, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&bare(name));
                out.push_str(" = ");
                write(value, out);
            }
            out.push_str(if pairs.is_empty() { "}" } else { " }" });
        }
    }
}

/// A key, in quotes where it needs them.
pub(super) fn bare(name: &str) -> String {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let starts_well = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if starts_well && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains('\'') && !text.chars().any(|c| c.is_control()) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// One line of a comment, which control characters must not end.
fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_section_reads_like_one_written_by_hand() {
        let mut section = Section::new("[upstreams.app]");
        section.above.push("nginx.conf:4".to_owned());
        section.set("load_balancing", "least_conn");
        let server = Value::Table(vec![
            ("address".into(), "a:1".into()),
            ("weight".into(), 3.into()),
        ]);
        section.set("servers", Value::Lines(vec![server]));
        section.set("read_timeout", "1m").comment = "nginx's own".to_owned();
        assert_eq!(
            print(&[section]),
            "# nginx.conf:4\n[upstreams.app]\nload_balancing = \"least_conn\"\nservers        = [\n  \
             { address = \"a:1\", weight = 3 },\n]\nread_timeout   = \"1m\"                 # nginx's own\n"
        );
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>(), name in any::<String>()) {
            let mut section = Section::new("");
            section.set(&name, text.as_str()).comment.clone_from(&text);
            section.above.push(text.clone());
            let read: toml::Table = print(&[section]).parse().unwrap();
            prop_assert_eq!(read[&name].as_str(), Some(text.as_str()));
        }
    }
}
