//! References in a value: `$name`, `${name}`, `${group.name}`, with `$$` and `\$` for a dollar sign.
//!
//! As in oslo.config, a name begins with a letter or `_` and goes on with letters, digits, `_` and `.`; without braces a
//! full stop after a name belongs to it. A `$` that begins none of these is left as it is.

/// Puts for each reference what `resolve` gives for its name.
///
/// # Errors
/// The first that `resolve` gives.
pub fn expand<E>(
    text: &str,
    mut resolve: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let mut expanded = String::with_capacity(text.len());
    let text = text.replace("\\$", "$$");
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            expanded.push_str(&resolve(name)?);
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The name that stands after a `$`, and what follows the reference.
fn reference(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        Some(braced) => {
            name(braced).and_then(|(name, after)| Some((name, after.strip_prefix('}')?)))
        }
        None => name(text),
    }
}

fn name(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic()) {
        return None;
    }
    let end = text
        .find(|character: char| {
            !(matches!(character, '_' | '.') || character.is_ascii_alphanumeric())
        })
        .unwrap_or(text.len());
    text.split_at_checked(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn angled(text: &str) -> String {
        expand(text, |name| Ok::<_, ()>(format!("<{name}>"))).unwrap()
    }

    #[test]
    fn references_and_escapes() {
        for (text, expanded) in [
            ("a$b c", "a<b> c"),
            ("${a}b", "<a>b"),
            ("${a.b}$c_1", "<a.b><c_1>"),
            ("$a.log", "<a.log>"),
            ("$A", "<A>"),
            ("$$a \\$a", "$a $a"),
            ("$1 $ ${ a} ${a ${} $", "$1 $ ${ a} ${a ${} $"),
            ("p$-w", "p$-w"),
            ("$$$a", "$<a>"),
            ("", ""),
        ] {
            assert_eq!(angled(text), expanded, "{text:?}");
        }
    }

    /// What oslo.config itself makes of references to `a` (A1), `b` (no value) and `g.x` (X1)
    /// (tests/oracle/configuration.py).
    #[test]
    fn references_mean_what_they_mean_to_oslo_config() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/configuration.json")).unwrap();
        for case in oracle["templates"].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            let expanded = expand(text, |name| match name {
                "a" => Ok("A1".to_owned()),
                "b" => Ok(String::new()),
                "g.x" => Ok("X1".to_owned()),
                _ => Err(()),
            });
            assert_eq!(case[1].as_str(), expanded.ok().as_deref(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn doubled_dollars_give_the_text_back(text in ".{0,40}") {
            prop_assume!(!text.contains('\\'));
            prop_assert_eq!(angled(&text.replace('$', "$$")), text);
        }
    }
}
