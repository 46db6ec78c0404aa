//! A log file that follows logrotate: when it was renamed or removed, a file of its name is opened again.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that is appended to, and watched by its name as Python's `WatchedFileHandler` does.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl LogFile {
    /// Opens the file to append to it; makes it when it is not there. Its folder must be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self {
            path: path.to_owned(),
            file,
            identity,
        })
    }

    /// Opens the file again when its name refers to another file or none. Where that fails, the old file is kept, since there is
    /// no better place for the reason.
    fn follow(&mut self) {
        let moved = std::fs::metadata(&self.path)
            .map_or(true, |metadata| identity(&metadata) != self.identity);
        if moved && let Ok(file) = Self::open(&self.path) {
            *self = file;
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.follow();
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_is_opened_anew_when_it_was_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let moved = folder.path().join("a.log.1");
        fs::write(&path, "before\n").unwrap();
        let mut file = LogFile::open(&path).unwrap();
        file.write_all(b"1\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write_all(b"2\n").unwrap();
        file.write_all(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n3\n");
        fs::remove_dir_all(folder.path()).unwrap();
        file.write_all(b"4\n").unwrap();
    }
}
