//! Files that the programs write.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A file for documents of all projects, with credentials of trusts in them: nobody but its owner reads it, whatever it was
/// before.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.write(true).create(true).mode(0o600).open(path)?;
    // A pipe or a device keeps the mode that it has.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
    }
    Ok(file)
}
