//! Reads options out of the settings, one after the other, and gathers all that is wrong with them, so that an operator
//! is told of every mistake at once.

use std::fmt;

use super::table::{self, GroupSpec, OptionSpec};
use super::types::OptionType;
use crate::oslo::settings::{Found, Location, Settings};
use crate::oslo::template;

/// A value that an option cannot have. Its `Display` is one line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongValue {
    /// The section.
    pub section: String,
    /// The key, by the name that was used.
    pub key: String,
    /// Where the value is set.
    pub location: Location,
    /// The value as written. None: it is a secret.
    pub got: Option<String>,
    /// What the option takes, or why the value cannot be used.
    pub wanted: String,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{}] {} ", self.location, self.section, self.key)?;
        match &self.got {
            Some(got) => write!(f, "is {got:?}")?,
            None => f.write_str("has a value that is not shown")?,
        }
        write!(f, "; wanted is {}", self.wanted)
    }
}

/// Something about the files that an operator should know and that does not stop the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// How much it matters.
    pub kind: WarningKind,
    /// Where it is.
    pub location: Location,
    /// What it is, in one line.
    pub message: String,
}

/// The kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// An unknown name, most often a typing error.
    Unknown,
    /// An option's older name.
    Deprecated,
    /// An option of the Python service that has no meaning here.
    Ignored,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

impl Warning {
    /// Writes it to the log: an ignored option at level DEBUG, the others at WARN.
    pub fn log(&self) {
        match self.kind {
            WarningKind::Ignored => tracing::debug!("{self}"),
            WarningKind::Unknown | WarningKind::Deprecated => tracing::warn!("{self}"),
        }
    }
}

/// Reads options and remembers what was wrong.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    /// The table of options, in which references are looked up.
    groups: &'static [GroupSpec],
    pub(super) wrong: Vec<WrongValue>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings, groups: &'static [GroupSpec]) -> Self {
        Self {
            settings,
            groups,
            wrong: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The warnings, or all wrong values if there are any; in the order of the files.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Vec<WrongValue>> {
        if !self.wrong.is_empty() {
            let wrong = &mut self.wrong;
            wrong.sort_by(|one, other| one.location.cmp(&other.location));
            return Err(self.wrong);
        }
        let warnings = &mut self.warnings;
        warnings.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(self.warnings)
    }

    /// The option's value from the settings, or `default`. A wrong value is remembered, and gives `default` too.
    pub(super) fn read<T: OptionType>(
        &mut self,
        section: &str,
        option: &OptionSpec,
        default: T,
    ) -> T {
        let Some(found) = find::<T>(self.settings, section, &option.names()) else {
            return default;
        };
        if found.name != option.name {
            self.warnings.push(Warning {
                kind: WarningKind::Deprecated,
                location: found.location.clone(),
                message: format!(
                    "[{section}] {} is the old name of {}",
                    found.name, option.name
                ),
            });
        }
        match self.value::<T>(section, option, &found) {
            Ok(None) => default,
            Ok(Some(value)) => {
                if let Some(warning) = value.warning() {
                    self.warnings.push(Warning {
                        kind: WarningKind::Unknown,
                        location: found.location,
                        message: format!("[{section}] {} {warning}", found.name),
                    });
                }
                value
            }
            Err(wanted) => {
                let wanted = T::instead(self.settings).unwrap_or(wanted);
                self.wrong.push(WrongValue {
                    section: section.to_owned(),
                    key: found.name.to_owned(),
                    got: (!T::SECRET).then(|| found.value().to_owned()),
                    location: found.location,
                    wanted,
                });
                default
            }
        }
    }

    /// The value; none: the text says that there is none.
    fn value<T: OptionType>(
        &self,
        section: &str,
        option: &OptionSpec,
        found: &Found<'_>,
    ) -> Result<Option<T>, String> {
        let id = format!("{section}.{}", option.name);
        let values = found
            .values
            .iter()
            .map(|value| self.expand(section, value, &mut vec![id.clone()]))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.wanted(T::SECRET))?;
        if T::EMPTY_IS_UNSET && values.last().is_none_or(|text| text.trim().is_empty()) {
            return Ok(None);
        }
        T::parse_all(&values, option.limits.as_ref()).map(Some)
    }

    /// The text with its references replaced. `trail` holds the options that are being read, to find a circle.
    fn expand(
        &self,
        section: &str,
        text: &str,
        trail: &mut Vec<String>,
    ) -> Result<String, ReferenceError> {
        template::expand(text, |name| self.resolve(section, name, trail))
    }

    /// The text of the option that a reference names: `group.name`, or a name of the same section or else of `[DEFAULT]`.
    /// As in oslo.config, a name must be an option's; beyond that, it may be any key that is set.
    fn resolve(
        &self,
        section: &str,
        reference: &str,
        trail: &mut Vec<String>,
    ) -> Result<String, ReferenceError> {
        let candidates = match reference.split_once('.') {
            Some((group, name)) => vec![(group, name)],
            None => vec![(section, reference), ("DEFAULT", reference)],
        };
        for (group, name) in candidates {
            let option = table::find(self.groups, group, name);
            let names: Vec<&str> = option.map_or_else(|| vec![name], |option| option.names());
            if let Some(found) = self.settings.find(group, &names) {
                let id = format!("{group}.{name}");
                if trail.contains(&id) {
                    return Err(ReferenceError::Circle(id));
                }
                trail.push(id);
                let text = self.expand(group, found.value(), trail)?;
                trail.pop();
                return Ok(text);
            }
            if let Some(option) = option {
                return Ok(option.default_text());
            }
        }
        Err(ReferenceError::Unknown(reference.to_owned()))
    }
}

fn find<'a, T: OptionType>(
    settings: &'a Settings,
    section: &str,
    names: &[&'a str],
) -> Option<Found<'a>> {
    if T::REPEATED {
        settings.find_repeated(section, names)
    } else {
        settings.find(section, names)
    }
}

/// A reference in a value that leads nowhere.
#[derive(Debug, thiserror::Error)]
enum ReferenceError {
    #[error(
        "the name of an option after each $, but there is no option {0}; a dollar sign itself is written $$"
    )]
    Unknown(String),
    #[error("a value without a circle of references, but {0} refers to itself")]
    Circle(String),
}

impl ReferenceError {
    /// What is wanted instead. Of a secret, what looks like a reference may be a part, and is not shown.
    fn wanted(&self, secret: bool) -> String {
        match self {
            Self::Unknown(_) if secret => Self::Unknown("of that name".to_owned()).to_string(),
            _ => self.to_string(),
        }
    }
}
