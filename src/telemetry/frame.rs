//! What stands around a line where it goes: in a file the end of the line, for syslog and the journal what they know it by.

use std::fmt::{self, Write};

use tracing::Level;

use super::layout::{Layout, LogLine, level_name};
use crate::config::SyslogFacility;

/// How a line is handed over.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    /// As a line of a file or stream.
    Line,
    /// As a datagram of syslog (RFC 3164). Without time and host, which every daemon adds by itself for a local program.
    Syslog {
        /// What it stands under.
        facility: SyslogFacility,
        /// The program.
        program: String,
    },
    /// As a datagram of systemd's native journal protocol, with the fields of oslo.log's `OSJournalHandler`.
    Journal {
        /// What it stands under.
        facility: SyslogFacility,
        /// The program.
        program: String,
    },
}

/// Fields of the journal that name the request, and what the log calls them.
const CONTEXT: [(&str, &str); 4] = [
    ("REQUEST_ID", "request_id"),
    ("GLOBAL_REQUEST_ID", "global_request_id"),
    ("USER_ID", "user"),
    ("PROJECT_ID", "project"),
];

impl Frame {
    /// Writes a line with what belongs around it.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        line: &LogLine<'_>,
        layout: &Layout,
    ) -> fmt::Result {
        match self {
            Frame::Line => {
                line.write(out, layout)?;
                out.write_char('\n')
            }
            Frame::Syslog { facility, program } => {
                let priority = facility.code() * 8 + severity(line.level);
                write!(out, "<{priority}>{program}: ")?;
                line.write(out, layout)
            }
            Frame::Journal { facility, program } => {
                let mut message = String::new();
                line.write(&mut message, layout)?;
                let mut field =
                    |name: &str, value: &dyn fmt::Display| writeln!(out, "{name}={value}");
                // A format string may have more lines; the protocol's other form for them is no text.
                field("MESSAGE", &message.replace('\n', "\\n"))?;
                field("PRIORITY", &severity(line.level))?;
                field("SYSLOG_FACILITY", &facility.code())?;
                field("SYSLOG_IDENTIFIER", program)?;
                field("LOGGER_NAME", &line.name())?;
                field("LOGGER_LEVEL", &level_name(line.level))?;
                if let (Some(file), Some(number)) = (line.file, line.line) {
                    field("CODE_FILE", &file)?;
                    field("CODE_LINE", &number)?;
                }
                for (name, member) in CONTEXT {
                    if let Some(value) = line.context(member) {
                        field(name, &value.escape_default())?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Syslog's severities.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
