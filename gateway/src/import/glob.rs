//! Patterns of `include`: `*`, `?` and `[…]`.

/// Whether a file's name is one that the pattern means.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if n == name.len() && pattern[p..].iter().all(|c| *c == '*') {
            return true;
        }
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        let step = name.get(n).and_then(|c| one(&pattern[p..], *c));
        match (step, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((at, taken))) if taken < name.len() => {
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// How much of the pattern stands for this one character; None if it does not.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let negated = matches!(pattern.get(1), Some('!' | '^'));
            let start = if negated { 2 } else { 1 };
            // A bracket right behind the first is one of the characters.
            let end = pattern[start..].iter().skip(1).position(|c| *c == ']')? + start + 1;
            let set = &pattern[start..end];
            let mut at = 0;
            let mut is_in = false;
            while at < set.len() {
                if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
                    is_in |= (set[at]..=set[at + 2]).contains(&c);
                    at += 3;
                } else {
                    is_in |= set[at] == c;
                    at += 1;
                }
            }
            (is_in != negated).then_some(end + 1)
        }
        own => (*own == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?.conf", "a.conf", true),
            ("?.conf", ".conf", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_breaks_it(pattern in r"[*?\[\]!^a-c-]{0,12}", name in "[a-c\\]]{0,12}") {
            matches(&pattern, &name);
        }

        #[test]
        fn a_name_with_parts_left_to_stars_is_found(name in "[a-d]{0,8}", cuts in any::<Vec<bool>>()) {
            let pattern: String = name
                .chars()
                .zip(cuts.iter().chain(std::iter::repeat(&false)))
                .map(|(c, cut)| if *cut { '*' } else { c })
                .collect();
            prop_assert!(matches(&pattern, &name));
        }
    }
}
