//! The text of one configuration file, read as oslo.config reads it.
//!
//! A line is a section `[name]`, a comment (`#` or `;` in its first column), an assignment `key = value` or
//! `key: value`, a continuation of the assignment above it (it begins with a blank), or empty, which ends an assignment.
//! There are no comments after a value. One pair of quotes around the whole first line of a value is removed. What a
//! value means, and which of several counts, is not decided here.

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section's name as oslo.config compares it: in lower case, but for `DEFAULT`.
    pub section: String,
    /// The key as written.
    pub key: String,
    /// The value; its lines are joined by `\n`.
    pub value: String,
    /// The line of the key, from 1.
    pub line: usize,
}

/// Why a file cannot be read, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What can be wrong with a line. The line itself is not shown: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Neither `=` nor `:`.
    #[error("expected key = value, but there is neither = nor :")]
    NoAssignment,
    /// Nothing before the `=`.
    #[error("there is no key before the = or :")]
    EmptyKey,
    /// A line that begins with a blank and follows no assignment.
    #[error("the line begins with a blank, which continues the value above, but there is none")]
    Continuation,
    /// A `[` without its `]` at the end of the line.
    #[error("a section must end with ], with nothing after it")]
    SectionEnd,
    /// `[]`.
    #[error("the section has no name")]
    SectionName,
    /// An assignment above the first section.
    #[error("the key stands above the first section; begin the file with [DEFAULT]")]
    NoSection,
}

/// Reads the assignments of a file in their order.
///
/// # Errors
/// The first line that does not fit.
pub fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut section: Option<String> = None;
    let mut entries: Vec<Entry> = Vec::new();
    // Whether a line that begins with a blank belongs to the last entry.
    let mut open = false;
    for (line, content) in lines(text)
        .enumerate()
        .map(|(index, content)| (index + 1, content))
    {
        let error = |reason| SyntaxError { line, reason };
        let content = content.trim_end_matches(is_space);
        if content.is_empty() {
            open = false;
        } else if content.starts_with([' ', '\t']) {
            let entry = entries
                .last_mut()
                .filter(|_| open)
                .ok_or(error(Reason::Continuation))?;
            entry.value.push('\n');
            entry.value.push_str(content.trim_start_matches(is_space));
        } else if content.starts_with('[') {
            section = Some(section_name(content).map_err(error)?);
            open = false;
        } else if content.starts_with(['#', ';']) {
            open = false;
        } else {
            let (key, value) = assignment(content).map_err(error)?;
            entries.push(Entry {
                section: section.clone().ok_or(error(Reason::NoSection))?,
                key: key.to_owned(),
                value: value.to_owned(),
                line,
            });
            open = true;
        }
    }
    Ok(entries)
}

/// A section's name as oslo.config compares it: `DEFAULT` as it is, any other without regard to case.
pub fn normalize_section(name: &str) -> String {
    if name == "DEFAULT" {
        name.to_owned()
    } else {
        name.to_lowercase()
    }
}

/// The lines, which end with `\n`, `\r\n` or `\r`, without a byte order mark.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What Python's `str.strip` takes off.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn section_name(line: &str) -> Result<String, Reason> {
    let name = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(Reason::SectionEnd)?;
    if name.is_empty() {
        return Err(Reason::SectionName);
    }
    Ok(normalize_section(name))
}

fn assignment(line: &str) -> Result<(&str, &str), Reason> {
    let (key, value) = line.split_once(['=', ':']).ok_or(Reason::NoAssignment)?;
    let key = key.trim_matches(is_space);
    if key.is_empty() {
        return Err(Reason::EmptyKey);
    }
    Ok((key, unquote(value.trim_matches(is_space))))
}

/// Without one pair of equal quotes around the whole. A lone quote is a pair with itself, as it is in oslo.config.
fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inner) => inner,
                None if rest.is_empty() => rest,
                None => value,
            };
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.section, entry.key, entry.value))
            .collect()
    }

    fn value(line: &str) -> String {
        let entries = parse(&format!("[DEFAULT]\n{line}")).unwrap();
        assert_eq!(entries.len(), 1, "{line:?}");
        entries[0].value.clone()
    }

    #[test]
    fn the_first_of_equal_and_colon_parts_key_and_value() {
        assert_eq!(value("a = b: c = d"), "b: c = d");
        assert_eq!(value("a: b = c"), "b = c");
        assert_eq!(value("a=b"), "b");
        assert_eq!(value("a ="), "");
    }

    #[test]
    fn quotes_around_the_whole_value_are_taken_off() {
        assert_eq!(value("a = \"b \""), "b ");
        assert_eq!(value("a = 'b'"), "b");
        assert_eq!(value("a = \"b'"), "\"b'");
        assert_eq!(value("a = \"b"), "\"b");
        assert_eq!(value("a = \"b\" c"), "\"b\" c");
        assert_eq!(value("a = \"\"b\"\""), "\"b\"");
        assert_eq!(value("a = \""), "");
        assert_eq!(value("a = ''"), "");
    }

    #[test]
    fn there_are_no_comments_after_a_value() {
        assert_eq!(value("a = b # c"), "b # c");
        assert_eq!(value("a = b ; c"), "b ; c");
    }

    #[test]
    fn lines_that_begin_with_a_blank_continue_the_value() {
        assert_eq!(value("a = b\n  c\n\td = e\n # f"), "b\nc\nd = e\n# f");
        assert_eq!(value("a = 'b'\n 'c'"), "b\n'c'");
    }

    #[test]
    fn each_kind_of_line_end_ends_a_line() {
        assert_eq!(
            values("\u{feff}[DEFAULT]\r\na = 1\r\n b\rc = 2"),
            [
                ("DEFAULT".into(), "a".into(), "1\nb".into()),
                ("DEFAULT".into(), "c".into(), "2".into())
            ]
        );
    }

    #[test]
    fn sections_are_compared_without_case_but_default() {
        assert_eq!(
            values("[Database]\na = 1\n[DEFAULT]\nb = 2\n[default]\nc = 3")
                .into_iter()
                .map(|(section, ..)| section)
                .collect::<Vec<_>>(),
            ["database", "DEFAULT", "default"]
        );
    }

    #[test]
    fn entries_know_their_line() {
        let entries = parse("# c\n[DEFAULT]\n\na = 1\n  2\nb = 3").unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.line).collect::<Vec<_>>(),
            [4, 6]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_line() {
        for (text, line, reason) in [
            ("a = 1", 1, Reason::NoSection),
            ("[DEFAULT]\nabc", 2, Reason::NoAssignment),
            ("[DEFAULT]\n= 1", 2, Reason::EmptyKey),
            ("[DEFAULT]\n a = 1", 2, Reason::Continuation),
            ("[DEFAULT]\na = 1\n\n b", 4, Reason::Continuation),
            ("[DEFAULT]\na = 1\n# c\n b", 4, Reason::Continuation),
            ("[DEFAULT", 1, Reason::SectionEnd),
            ("[DEFAULT] # c", 1, Reason::SectionEnd),
            ("[]", 1, Reason::SectionName),
        ] {
            assert_eq!(parse(text), Err(SyntaxError { line, reason }), "{text:?}");
        }
    }

    /// What oslo.config itself says of awkward files (tests/oracle/configuration.py).
    #[test]
    fn files_mean_what_they_mean_to_oslo_config() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/configuration.json")).unwrap();
        for case in oracle["files"].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            let expected = &case[1];
            match parse(text) {
                Ok(entries) => {
                    let mut sections = serde_json::json!({});
                    for entry in entries {
                        let values = &mut sections[&entry.section][&entry.key];
                        match values.as_array_mut() {
                            Some(values) => values.push(entry.value.into()),
                            None => *values = serde_json::json!([entry.value]),
                        }
                    }
                    assert_eq!(
                        expected,
                        &serde_json::json!({ "sections": sections }),
                        "{text:?}"
                    );
                }
                Err(error) => {
                    let line = expected
                        .get("error")
                        .unwrap_or_else(|| panic!("{text:?}: {error}"));
                    assert!(
                        line.is_null() || *line == error.line,
                        "{text:?}: {error}, not {line}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s)([\\[\\]=:#; \t\r\n\"'a]|.){0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(
            entries in prop::collection::vec(("[a-z]{1,5}", "[a-z_-]{1,8}", "[^\\p{C}\\s\"'][^\\p{C}\\p{Z}]{0,12}"), 0..12)
        ) {
            let text: String = entries
                .iter()
                .map(|(section, key, value)| format!("[{section}]\n{key} = \"{value}\"\n"))
                .collect();
            prop_assert_eq!(values(&text), entries);
        }
    }
}
