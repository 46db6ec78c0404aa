//! What the file of Paste Deploy adds to the settings.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::options::PasteDeploy;
use super::reader::{Warning, WarningKind};
use super::sources::find_file;
use crate::oslo::ini::Entry;
use crate::oslo::paste::Paste;
use crate::oslo::settings::{Location, Settings};

/// What the file means beyond the settings that it adds.
#[derive(Default)]
pub(super) struct Read {
    /// What of it has no effect.
    pub(super) warning: Option<Warning>,
    /// For each health check after the first: the settings that it has.
    pub(super) more_healthchecks: Vec<Settings>,
}

impl From<Warning> for Read {
    fn from(warning: Warning) -> Self {
        Self {
            warning: Some(warning),
            ..Self::default()
        }
    }
}

/// Adds the options that the file sets, and tells what of it has no effect. The Python service cannot do without it; here it need not
/// be there.
pub(super) fn read(settings: &mut Settings, search_dirs: &[PathBuf]) -> Read {
    let named = settings.find(PasteDeploy::SECTION, &["config_file"]);
    let default = PasteDeploy::default().config_file;
    let name = match &named {
        Some(found) => PathBuf::from(found.value()),
        None => default.clone(),
    };
    let Some(path) = find_file(search_dirs, &name) else {
        let Some(named) = named.filter(|_| name != default) else {
            return Read::default();
        };
        let message = format!("[paste_deploy] config_file: there is no {}", name.display());
        return warning(named.location, message).into();
    };
    let location = Location::File {
        path: path.as_path().into(),
        line: 1,
    };
    let paste = match parse(&path) {
        Ok(paste) => paste,
        Err(error) => return warning(location, format!("without effect: {error}")).into(),
    };
    let with = |entries: Vec<Entry>| {
        let mut own = settings.clone();
        own.add_entries(&path, entries);
        own
    };
    let more_healthchecks = paste.more_healthchecks.into_iter().map(with).collect();
    settings.add_entries(&path, paste.entries);
    let others = paste.not_taken.join(", ");
    let message = || format!("without effect in this program: {others}");
    Read {
        warning: (!others.is_empty()).then(|| warning(location, message())),
        more_healthchecks,
    }
}

fn warning(location: Location, message: String) -> Warning {
    Warning {
        kind: WarningKind::Unknown,
        location,
        message,
    }
}

fn parse(path: &Path) -> Result<Paste, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok(Paste::parse(&text, folder)?)
}
