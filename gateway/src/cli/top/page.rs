//! A page of metrics in the text format, as `GET /metrics` gives it.

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric, with its suffix.
    pub name: String,
    /// Names and values, in their order.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// All lines of a page that are understood, in their order. Comments and whatever else is there are passed over.
pub fn samples(page: &str) -> Vec<Sample> {
    page.lines().filter_map(sample).collect()
}

impl Sample {
    /// A label's value; empty if it has no such label.
    pub fn label(&self, name: &str) -> &str {
        let label = self.labels.iter().find(|(n, _)| n == name);
        label.map_or("", |(_, value)| value)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_end);
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((name.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let page = "# HELP a b\n# TYPE a counter\na 1\nb{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 2.5\nc{le=\"+Inf\"} +Inf 123\n\nd{} 4\nbroken{x=\"\nbroken 1x\n";
        let read = samples(page);
        assert_eq!(read.len(), 4, "{read:?}");
        assert_eq!((read[0].name.as_str(), read[0].value), ("a", 1.0));
        assert_eq!(
            (read[1].label("y"), read[1].label("x"), read[1].label("z")),
            ("a\"b\\c\nd", "1", "")
        );
        assert_eq!((read[2].label("le"), read[2].value), ("+Inf", f64::INFINITY));
        assert_eq!((read[3].name.as_str(), read[3].labels.len()), ("d", 0));
    }

    proptest! {
        #[test]
        fn every_label_comes_back(value: String, number in any::<f64>().prop_filter("a number", |n| !n.is_nan())) {
            let written = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // A page has lines that end in a line feed and nothing else.
            prop_assume!(!value.contains('\r'));
            let read = samples(&format!("m{{a=\"{written}\",b=\"\"}} {number}\n"));
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].label("a"), &value);
            prop_assert_eq!(read[0].value, number);
        }

        #[test]
        fn no_page_is_too_strange(page: String) {
            let _ = samples(&page);
        }
    }
}
