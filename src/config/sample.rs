//! The sample file: every option of the table as a comment with its help, kind and default, in the layout of
//! oslo-config-generator.

use super::options::GROUPS;
use super::table::OptionSpec;

/// The widest line of help.
const WIDTH: usize = 79;

/// The sample of a configuration file: all options, each commented out.
pub fn sample() -> String {
    let mut text = String::new();
    let mut section = "";
    for group in GROUPS {
        if group.section != section {
            section = group.section;
            text.push_str(&format!("[{section}]\n\n"));
        }
        for option in group.options {
            text.push_str(&entry(section, option));
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn entry(section: &str, option: &OptionSpec) -> String {
    let help: Vec<&str> = option.help.iter().map(|line| line.trim()).collect();
    let mut lines = wrap(&format!("{} ({})", help.join(" "), option.kind));
    if let Some(limits) = &option.limits {
        lines.push(format!("# Minimum value: {}", limits.start()));
        lines.push(format!("# Maximum value: {}", limits.end()));
    }
    for alias in option.aliases {
        lines.push(format!("# Deprecated group/name - [{section}]/{alias}"));
    }
    let defaults = (option.default)();
    lines.extend(
        defaults
            .iter()
            .map(|value| format!("#{} = {value}", option.name).trim_end().to_owned()),
    );
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The text as comment lines. A word that is longer than a line stands alone.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, String::from("#")));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines
}
