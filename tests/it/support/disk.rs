//! A small disk of a test's own, which can be full. Making one takes root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Makes one of this size, to which everybody may write.
    ///
    /// # Panics
    /// Without root.
    pub(crate) fn mount(megabytes: u32) -> Disk {
        let disk = Disk {
            folder: tempfile::tempdir().unwrap(),
        };
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=777")])
            .arg("tmpfs")
            .arg(disk.path())
            .status();
        assert!(mounted.unwrap().success(), "this test needs root");
        disk
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all that is free.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let bytes = vec![0; 4096];
        let error = loop {
            if let Err(error) = ballast.write_all(&bytes) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may still have files open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}
