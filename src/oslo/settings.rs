//! The values of all configuration files and of the environment together, and which of them counts.
//!
//! As in oslo.config: a later file wins over an earlier one, the environment variable `OS_<GROUP>__<OPTION>` over all
//! files, and the command line over everything. Within a file, an option's own name wins over its older names, and the last of repeated keys over the others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ini::{self, Entry, SyntaxError};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable of this name.
    Environment(String),
    /// An argument of the command line, such as `--log-file`.
    CommandLine(&'static str),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(argument) => f.write_str(argument),
        }
    }
}

/// Why the settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or folder cannot be read, or is not UTF-8.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The value of an environment variable is not UTF-8.
    #[error("environment variable {0}: its value is not UTF-8")]
    Variable(String),
    /// A line of a file does not fit.
    #[error("{}:{}: {}", path.display(), error.line, error.reason)]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: SyntaxError,
    },
}

/// What was found for an option. Without `Debug`, as [`Settings`].
#[derive(Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its values: those of the file that wins, or for [`Settings::find_repeated`] those of all files in their order.
    pub values: Vec<&'a str>,
    /// The name that was used, one of those that were looked for.
    pub name: &'a str,
    /// Where the last of the values stands.
    pub location: Location,
}

impl<'a> Found<'a> {
    /// The value that counts where an option has one.
    #[expect(clippy::expect_used, reason = "an option is found by a value of it")]
    pub fn value(&self) -> &'a str {
        self.values.last().expect("a value")
    }
}

/// All values that were set. Without `Debug`, since secrets are among them.
#[derive(Default, Clone)]
pub struct Settings {
    /// In the order in which they were read: the last wins.
    files: Vec<(Arc<Path>, Vec<Entry>)>,
    environment: BTreeMap<String, String>,
    arguments: Vec<Argument>,
}

/// An option of `[DEFAULT]` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The option's name.
    pub option: &'static str,
    /// How the command line calls it.
    pub argument: &'static str,
    /// Its value.
    pub value: String,
}

impl Settings {
    /// Settings of the environment alone. Of the variables only those are kept whose names have the form
    /// `OS_<GROUP>__<OPTION>`.
    ///
    /// # Errors
    /// [`SettingsError::Variable`].
    pub fn from_environment(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut environment = BTreeMap::new();
        for (name, value) in variables {
            // Names of options are ASCII.
            if let Some(name) = name.to_str()
                && name.starts_with("OS_")
                && name.contains("__")
            {
                let value = value.into_string();
                let value = value.map_err(|_| SettingsError::Variable(name.to_owned()))?;
                environment.insert(name.to_owned(), value);
            }
        }
        Ok(Self {
            environment,
            ..Self::default()
        })
    }

    /// Adds what the command line says, which wins over everything else.
    pub fn add_arguments(&mut self, arguments: &[Argument]) {
        self.arguments.extend_from_slice(arguments);
    }

    /// Reads a file, whose values win over those that were read before.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or has a line that does not fit.
    pub fn read_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        self.add_text(path, &text)
    }

    /// Reads the files `*.conf` of a folder in the order of their names, without hidden ones.
    ///
    /// # Errors
    /// The folder cannot be read, or one of the files.
    pub fn read_dir(&mut self, folder: &Path) -> Result<(), SettingsError> {
        for path in conf_files(folder).map_err(|source| SettingsError::Read {
            path: folder.to_owned(),
            source,
        })? {
            self.read_file(&path)?;
        }
        Ok(())
    }

    /// Adds entries of a file that was read elsewhere; they win over those that were read before.
    pub fn add_entries(&mut self, path: &Path, entries: Vec<Entry>) {
        self.files.push((path.into(), entries));
    }

    fn add_text(&mut self, path: &Path, text: &str) -> Result<(), SettingsError> {
        let entries = ini::parse(text).map_err(|error| SettingsError::Syntax {
            path: path.to_owned(),
            error,
        })?;
        self.add_entries(path, entries);
        Ok(())
    }

    /// Looks for an option with a single value by its name and its older names, in the order of preference. Older names
    /// are not looked for in the environment.
    pub fn find<'a>(&'a self, section: &str, names: &[&'a str]) -> Option<Found<'a>> {
        self.find_in_arguments(section, names)
            .or_else(|| self.find_in_environment(section, names))
            .or_else(|| self.find_in_files(section, names).next())
    }

    /// Looks for an option whose key may be repeated: the values of all files, in the order in which they were read.
    pub fn find_repeated<'a>(&'a self, section: &str, names: &[&'a str]) -> Option<Found<'a>> {
        let in_files = || {
            let found = self.find_in_files(section, names);
            found.reduce(|later, earlier| Found {
                values: [earlier.values, later.values].concat(),
                ..later
            })
        };
        self.find_in_arguments(section, names)
            .or_else(|| self.find_in_environment(section, names))
            .or_else(in_files)
    }

    /// All entries of all files, in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&Entry, Location)> {
        self.files
            .iter()
            .flat_map(|(path, entries)| entries.iter().map(|entry| (entry, location(path, entry))))
    }

    fn find_in_arguments<'a>(&'a self, section: &str, names: &[&'a str]) -> Option<Found<'a>> {
        let name = *names.first()?;
        let mut arguments = self.arguments.iter();
        let found = arguments.rfind(|argument| section == "DEFAULT" && argument.option == name)?;
        Some(Found {
            values: vec![&found.value],
            name,
            location: Location::CommandLine(found.argument),
        })
    }

    fn find_in_environment<'a>(&'a self, section: &str, names: &[&'a str]) -> Option<Found<'a>> {
        let name = *names.first()?;
        let variable = format!("OS_{}__{}", section.to_uppercase(), name.to_uppercase());
        let value = self.environment.get(&variable)?;
        Some(Found {
            values: vec![value],
            name,
            location: Location::Environment(variable),
        })
    }

    /// What each file has for the option, the file that wins first.
    fn find_in_files<'a>(
        &'a self,
        section: &str,
        names: &[&'a str],
    ) -> impl Iterator<Item = Found<'a>> {
        let section = ini::normalize_section(section);
        self.files.iter().rev().flat_map(move |(path, entries)| {
            let found = names
                .iter()
                .filter_map(|name| find_in_file(path, entries, &section, name));
            found.collect::<Vec<_>>()
        })
    }
}

fn find_in_file<'a>(
    path: &Arc<Path>,
    entries: &'a [Entry],
    section: &str,
    name: &'a str,
) -> Option<Found<'a>> {
    let matching = || {
        entries
            .iter()
            .filter(|entry| entry.section == section && entry.key == name)
    };
    let last = matching().next_back()?;
    Some(Found {
        values: matching().map(|entry| entry.value.as_str()).collect(),
        name,
        location: location(path, last),
    })
}

fn location(path: &Arc<Path>, entry: &Entry) -> Location {
    Location::File {
        path: Arc::clone(path),
        line: entry.line,
    }
}

fn conf_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.ends_with(".conf") && !name.starts_with('.'))
    });
    files.sort();
    Ok(files)
}
