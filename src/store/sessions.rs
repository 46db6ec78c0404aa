//! Sessions in the database.

use super::list::Listed;
use super::narrowing::Searchable;
use super::rows::Record;
use super::tables;
use crate::domain::session::Session;

impl Listed for Session {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::SESSIONS,
        alias: Session::ALIAS,
        composed: &[],
        joined: &[],
        indexed: None,
    };
}
