//! What the file of Paste Deploy adds to the settings.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::options::PasteDeploy;
use super::reader::{Warning, WarningKind};
use super::sources::find_file;
use crate::oslo::paste::Paste;
use crate::oslo::settings::{Location, Settings};

/// Adds the options that the file sets, and tells what of it has no effect. The Python service cannot do without it; here it need not
/// be there.
pub(super) fn read(settings: &mut Settings, search_dirs: &[PathBuf]) -> Option<Warning> {
    let named = settings.find(PasteDeploy::SECTION, &["config_file"]);
    let default = PasteDeploy::default().config_file;
    let name = match &named {
        Some(found) => PathBuf::from(found.value()),
        None => default.clone(),
    };
    let Some(path) = find_file(search_dirs, &name) else {
        let location = named.filter(|_| name != default)?.location;
        let message = format!("[paste_deploy] config_file: there is no {}", name.display());
        return Some(warning(location, message));
    };
    let message = match parse(&path) {
        Ok(paste) => {
            settings.add_entries(&path, paste.entries);
            match paste.not_taken.as_slice() {
                [] => return None,
                others => format!("without effect in this program: {}", others.join(", ")),
            }
        }
        Err(error) => format!("without effect: {error}"),
    };
    let location = Location::File {
        path: path.into(),
        line: 1,
    };
    Some(warning(location, message))
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
