//! Which revisions a database has, of both lines.

use std::fmt;

use super::MigrateError;
use super::catalog::Catalog;
use super::revisions::{ALEMBIC, OWN, Revision};
use crate::store::StoreError;
use crate::store::connection::DbSession;
use crate::store::statement::sql;
use crate::store::tables::{TABLES, shared_tables};

/// The layout of the tables, as seen by the revisions that this program knows. `Display` says what it means and what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// All is as this program needs it.
    Current,
    /// There are no tables of ours.
    Empty,
    /// The tables are older than this program.
    Behind {
        /// The revision in `alembic_version`; none for a layout from before Alembic.
        alembic: Option<&'static str>,
        /// Our own revision in `freezer_api_version`.
        own: Option<&'static str>,
    },
    /// The tables are at a revision of which this program knows nothing, mostly because they are newer.
    Unknown {
        /// The table with the revision.
        table: &'static str,
        /// The revisions in it.
        revisions: Vec<String>,
    },
    /// There are tables, but nothing says which revision they have.
    Unstamped {
        /// The tables that were found.
        tables: Vec<String>,
    },
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REMEDY: &str = "run: freezer-manage db sync";
        match self {
            SchemaState::Current => f.write_str("the database is at the newest revision"),
            SchemaState::Empty => write!(f, "the database has no tables yet; {REMEDY}"),
            SchemaState::Behind { alembic, own } => {
                let alembic = alembic.unwrap_or("none");
                let own = own.unwrap_or("none");
                write!(
                    f,
                    "the database is older than this program (revision {alembic}, our additions {own}); {REMEDY}"
                )
            }
            SchemaState::Unknown { table, revisions } => write!(
                f,
                "the database is at revision {} (table {table}), which this program does not know. It was probably \
                 upgraded by a newer release; run that release, or restore a backup of the database",
                revisions.join(", ")
            ),
            SchemaState::Unstamped { tables } => write!(
                f,
                "the database has the tables {}, but no revision in alembic_version and no migrate_version. If they \
                 are of freezer-api, write their revision into alembic_version; else name another database",
                tables.join(", ")
            ),
        }
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The end of both lines.
    Head,
    /// A revision of the Alembic line.
    Alembic {
        /// Its position in the line.
        position: usize,
        /// Its id.
        id: &'static str,
    },
}

impl Target {
    pub(super) fn parse(target: Option<&str>) -> Result<Target, MigrateError> {
        match target {
            None | Some("head") => Ok(Target::Head),
            Some(wanted) => (0..)
                .zip(ALEMBIC)
                .find(|(_, revision)| revision.id == wanted)
                .map(|(position, revision)| Target::Alembic {
                    position,
                    id: revision.id,
                })
                .ok_or_else(|| MigrateError::UnknownTarget {
                    got: wanted.to_owned(),
                }),
        }
    }
}

/// How many revisions of each line are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) alembic: usize,
    pub(super) own: usize,
}

/// The line that a revision belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RevisionLine {
    Alembic,
    Own,
}

impl RevisionLine {
    /// The table that holds the line's revision.
    pub(super) fn table(self) -> &'static str {
        match self {
            RevisionLine::Alembic => "alembic_version",
            RevisionLine::Own => "freezer_api_version",
        }
    }
}

impl Position {
    /// What remains to be done, in order.
    pub(super) fn remaining(
        self,
        target: Target,
    ) -> Result<impl Iterator<Item = (RevisionLine, &'static Revision)>, MigrateError> {
        let (alembic, own) = match target {
            Target::Head => (ALEMBIC.len(), OWN.len()),
            Target::Alembic { position, id } if position + 1 < self.alembic => {
                return Err(MigrateError::BehindDatabase { target: id });
            }
            Target::Alembic { position, .. } => (position + 1, 0),
        };
        let line = |line, revisions: &'static [Revision], from, to: usize| {
            let revisions = revisions.iter().take(to).skip(from);
            revisions.map(move |revision| (line, revision))
        };
        Ok(
            line(RevisionLine::Alembic, ALEMBIC, self.alembic, alembic).chain(line(
                RevisionLine::Own,
                OWN,
                self.own,
                own,
            )),
        )
    }
}

fn position(line: &[Revision], id: &str) -> Option<usize> {
    line.iter().position(|revision| revision.id == id)
}

/// The layout of the database.
pub(super) async fn read(session: &mut DbSession) -> Result<SchemaState, StoreError> {
    let catalog = Catalog::read(session).await?;
    let position = match find(session, &catalog).await? {
        Ok(position) => position,
        Err(state) => return Ok(state),
    };
    let id = |line: &'static [Revision], done: usize| {
        let last = line.get(done.checked_sub(1)?)?;
        Some(last.id)
    };
    Ok(match position {
        Position { alembic, own } if alembic == ALEMBIC.len() && own == OWN.len() => {
            SchemaState::Current
        }
        _ if our_tables(&catalog).next().is_none() => SchemaState::Empty,
        Position { alembic, own } => SchemaState::Behind {
            alembic: id(ALEMBIC, alembic),
            own: id(OWN, own),
        },
    })
}

/// The revision of the database, or why it is unknown.
pub(super) async fn find(
    session: &mut DbSession,
    catalog: &Catalog,
) -> Result<Result<Position, SchemaState>, StoreError> {
    let alembic = match stamp(session, catalog, RevisionLine::Alembic, ALEMBIC).await? {
        Ok(done) => done,
        Err(unknown) => return Ok(Err(unknown)),
    };
    let own = match stamp(session, catalog, RevisionLine::Own, OWN).await? {
        Ok(done) => done,
        Err(unknown) => return Ok(Err(unknown)),
    };
    if alembic == 0 && !may_be_unstamped(catalog) {
        let tables = our_tables(catalog).map(str::to_owned).collect();
        return Ok(Err(SchemaState::Unstamped { tables }));
    }
    Ok(Ok(Position { alembic, own }))
}

/// The stamps of both lines, as they are.
pub(super) async fn stamps(
    session: &mut DbSession,
) -> Result<(Option<String>, Option<String>), StoreError> {
    let catalog = Catalog::read(session).await?;
    let alembic = stamped(session, &catalog, RevisionLine::Alembic).await?;
    let own = stamped(session, &catalog, RevisionLine::Own).await?;
    let shown = |ids: Vec<String>| (!ids.is_empty()).then(|| ids.join(", "));
    Ok((shown(alembic), shown(own)))
}

/// The revision ids in a line's table; one, unless it was edited by hand.
async fn stamped(
    session: &mut DbSession,
    catalog: &Catalog,
    line: RevisionLine,
) -> Result<Vec<String>, StoreError> {
    let table = line.table();
    if !catalog.has_table(table) {
        return Ok(Vec::new());
    }
    let query = sql(format!("SELECT version_num FROM {table}"));
    let found: Vec<(String,)> = session.fetch_all(query).await?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// How many revisions of a line are done, by the stamp in its table.
async fn stamp(
    session: &mut DbSession,
    catalog: &Catalog,
    line: RevisionLine,
    revisions: &[Revision],
) -> Result<Result<usize, SchemaState>, StoreError> {
    let found = stamped(session, catalog, line).await?;
    let done = match found.as_slice() {
        [] => Some(0),
        [id] => position(revisions, id).map(|position| position + 1),
        _ => None,
    };
    Ok(done.ok_or(SchemaState::Unknown {
        table: line.table(),
        revisions: found,
    }))
}

/// Whether a database without a stamp is one that we can begin with: without tables of ours, under sqlalchemy-migrate,
/// in the layout of the specification, or left by a first sync that was killed.
fn may_be_unstamped(catalog: &Catalog) -> bool {
    our_tables(catalog).next().is_none()
        || catalog.has_table("migrate_version")
        || catalog.has_table("freezer_api_version")
        || has_spec_layout(catalog)
}

fn has_spec_layout(catalog: &Catalog) -> bool {
    catalog.has_column("clients", "config_id")
        && catalog.has_column("jobs", "scheduling")
        && catalog.has_column("sessions", "scheduling")
}

fn our_tables(catalog: &Catalog) -> impl Iterator<Item = &str> {
    let ours = |table: &&str| shared_tables().any(|shared| shared.name == *table);
    catalog.tables().filter(ours)
}

/// All tables that are ours or the reference's, in an order in which they can be dropped.
pub(super) fn removable(catalog: &Catalog) -> Vec<&'static str> {
    // Of those in the catalogue, the later refer to the earlier.
    let ours = TABLES.iter().rev().map(|table| table.name);
    let all = ours.chain([RevisionLine::Alembic.table(), "migrate_version"]);
    all.filter(|table| catalog.has_table(table)).collect()
}

/// The tables and columns of the newest revision that are not there.
pub(super) fn missing(catalog: &Catalog) -> Vec<String> {
    let columns = TABLES.iter().flat_map(|table| {
        let columns = table.columns.iter();
        columns.map(move |column| (table.name, column.name))
    });
    columns
        .filter(|(table, column)| !catalog.has_column(table, column))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect()
}
