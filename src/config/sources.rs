//! Which files are read, and in which order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::oslo::settings::{Argument, Settings, SettingsError};

/// Folders of the default files, in which the first that has a file provides it (`freezer` is the reference's project).
const FILE_DIRS: [&str; 4] = ["~/.freezer", "~", "/etc/freezer", "/etc"];

/// The default files. The second wins over the first.
const FILES: [&str; 2] = ["freezer.conf", "freezer-api.conf"];

/// Folders of the default folder of files. The reference's are those of the project `freezer-api`; ours beside the
/// default files follow.
const FOLDER_DIRS: [&str; 6] = [
    "~/.freezer-api",
    "~",
    "/etc/freezer-api",
    "/etc",
    "~/.freezer",
    "/etc/freezer",
];

/// The default folder, whose files win over the default files.
const FOLDER: &str = "freezer-api.conf.d";

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `--config-file`: a later one wins. None: `freezer.conf` and `freezer-api.conf`, each in the first of `~/.freezer`,
    /// `~`, `/etc/freezer`, `/etc` that has it.
    pub config_files: Vec<PathBuf>,
    /// `--config-dir`: the files `*.conf` of these folders win over all files. None: `freezer-api.conf.d`, from the first of
    /// these folders that has it.
    pub config_dirs: Vec<PathBuf>,
    /// Options on the command line itself.
    pub arguments: Vec<Argument>,
}

impl Sources {
    /// Reads everything. The second value are the folders in which a relative file name is looked for.
    pub(super) fn read(
        &self,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<(Settings, Vec<PathBuf>), SettingsError> {
        let home = variables
            .iter()
            .find(|(name, _)| name == "HOME")
            .map(|(_, value)| PathBuf::from(value));
        let home = home.as_deref();
        let mut settings = Settings::from_environment(variables)?;
        settings.add_arguments(&self.arguments);
        let files = if self.config_files.is_empty() {
            FILES
                .iter()
                .filter_map(|name| first(&FILE_DIRS, name, home))
                .collect()
        } else {
            expand_all(&self.config_files, home)
        };
        let folders: Vec<PathBuf> = if self.config_dirs.is_empty() {
            first(&FOLDER_DIRS, FOLDER, home).into_iter().collect()
        } else {
            expand_all(&self.config_dirs, home)
        };
        // A file that the command line names wins over a folder that it does not name.
        let folders_first = self.config_dirs.is_empty() && !self.config_files.is_empty();
        if folders_first {
            folders
                .iter()
                .try_for_each(|folder| settings.read_dir(folder))?;
        }
        files.iter().try_for_each(|file| settings.read_file(file))?;
        if !folders_first {
            folders
                .iter()
                .try_for_each(|folder| settings.read_dir(folder))?;
        }
        Ok((settings, search_dirs(&folders, &files, home)))
    }
}

/// Where a relative file name is looked for: the folders of files, the folders that hold the files (the last first), the
/// default folders.
fn search_dirs(folders: &[PathBuf], files: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    let beside = files
        .iter()
        .rev()
        .filter_map(|file| file.parent())
        .map(Path::to_owned);
    let default = FOLDER_DIRS
        .iter()
        .map(|folder| expand(Path::new(folder), home));
    folders
        .iter()
        .cloned()
        .chain(beside)
        .chain(default)
        .collect()
}

fn first(folders: &[&str], name: &str, home: Option<&Path>) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| expand(Path::new(folder), home).join(name))
        .find(|path| path.exists())
}

fn expand_all(paths: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    paths.iter().map(|path| expand(path, home)).collect()
}

/// The path with a leading `~` replaced by the home folder.
fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// The file of this name: in the first of the folders that has it, or itself when the name is absolute.
pub(super) fn find_file(folders: &[PathBuf], name: &Path) -> Option<PathBuf> {
    if name.is_absolute() {
        return name.exists().then(|| name.to_owned());
    }
    let mut paths = folders.iter().map(|folder| folder.join(name));
    paths.find(|path| path.exists())
}
