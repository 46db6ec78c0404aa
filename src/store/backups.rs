//! Backups in the database.

use super::list::{Listed, Searchable};
use super::rows::Record;
use super::tables;
use crate::domain::backup::Backup;

impl Listed for Backup {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::BACKUPS,
        alias: Backup::ALIAS,
        composed: &[],
        joined: &[],
    };
}
