//! The sample file: every option of the table as a comment with its help, kind and default, in the layout of
//! oslo-config-generator.

use std::borrow::Cow;

use textwrap::{Options, WordSplitter};

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
    let text = format!("{} ({})", help.join(" "), option.kind);
    let options = Options::new(WIDTH)
        .initial_indent("# ")
        .subsequent_indent("# ")
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    let lines = textwrap::wrap(&text, options).into_iter();
    let mut lines: Vec<String> = lines.map(Cow::into_owned).collect();
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
