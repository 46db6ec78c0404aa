//! The kinds of value that the options of the log have.

use time::format_description::{self, OwnedFormatItem};

use super::table::Limits;
use super::types::OptionType;
use crate::oslo::log_format::LogFormat;

impl OptionType for LogFormat {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        LogFormat::parse(text).map_err(|error| {
            format!("a format string such as %(asctime)s %(message)s, but {error}")
        })
    }

    fn warning(&self) -> Option<String> {
        self.has_unknown().then(|| {
            "names a field that this program does not have and that is written as - (docs/logging.md has the others)".to_owned()
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.as_str().to_owned()]
    }
}

/// How a time is written, in the form of C's `strftime`.
#[derive(Debug, Clone)]
pub struct DateFormat {
    text: String,
    items: OwnedFormatItem,
}

impl DateFormat {
    /// Reads a format.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn new(text: &str) -> Result<DateFormat, String> {
        let items = format_description::parse_strftime_owned(text)
            .map_err(|error| format!("a format such as %Y-%m-%d %H:%M:%S, but {error}"))?;
        Ok(DateFormat {
            text: text.to_owned(),
            items,
        })
    }

    /// The format.
    pub fn items(&self) -> &OwnedFormatItem {
        &self.items
    }
}

impl Default for DateFormat {
    #[expect(clippy::expect_used, reason = "a constant")]
    fn default() -> Self {
        Self::new("%Y-%m-%d %H:%M:%S").expect("a format")
    }
}

impl OptionType for DateFormat {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        DateFormat::new(text)
    }

    fn format(&self) -> Vec<String> {
        vec![self.text.clone()]
    }
}

/// Under which facility syslog and the journal get the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyslogFacility(u8);

/// The facilities of Linux in the order of their codes, without `LOG_`. Those without a name are reserved.
const FACILITIES: [&str; 24] = [
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV",
    "FTP", "", "", "", "", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6",
    "LOCAL7",
];

impl SyslogFacility {
    /// `LOG_USER`.
    pub const USER: Self = Self(1);

    /// The facility of this name, with or without `LOG_`.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_uppercase();
        let name = name.strip_prefix("LOG_").unwrap_or(&name);
        let mut named = FACILITIES.iter();
        let code = named.position(|facility| *facility == name && !name.is_empty())?;
        u8::try_from(code).ok().map(Self)
    }

    /// Its code (RFC 5424, section 6.2.1).
    pub fn code(self) -> u8 {
        self.0
    }
}

impl OptionType for SyslogFacility {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Self::named(text).ok_or_else(|| {
            let named = FACILITIES.iter().filter(|name| !name.is_empty());
            let names: Vec<String> = named.map(|name| format!("LOG_{name}")).collect();
            format!("one of {}", names.join(", "))
        })
    }

    fn format(&self) -> Vec<String> {
        let name = FACILITIES.get(usize::from(self.0));
        vec![format!("LOG_{}", name.copied().unwrap_or_default())]
    }
}

/// How the Python service rotates its own log files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRotation(String);

impl LogRotation {
    const NONE: &'static str = "none";
}

impl Default for LogRotation {
    fn default() -> Self {
        Self(Self::NONE.to_owned())
    }
}

impl OptionType for LogRotation {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            word @ ("none" | "interval" | "size") => Ok(Self(word.to_owned())),
            _ => Err("one of none, interval, size".to_owned()),
        }
    }

    fn warning(&self) -> Option<String> {
        (self.0 != Self::NONE).then(|| {
            format!("is {}; this program does not rotate its log: use logrotate, whose renaming it follows", self.0)
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_the_codes_of_linux() {
        for (name, code) in [
            ("LOG_USER", 1),
            ("log_local0", 16),
            ("local7", 23),
            (" daemon ", 3),
            ("AUTHPRIV", 10),
        ] {
            assert_eq!(
                SyslogFacility::named(name).map(SyslogFacility::code),
                Some(code),
                "{name}"
            );
        }
        for name in ["", "LOG_", "LOG_AUDIT", "16", "LOG_LOG_USER"] {
            assert_eq!(SyslogFacility::named(name), None, "{name}");
        }
    }
}
