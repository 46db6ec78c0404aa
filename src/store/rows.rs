//! Rows: which columns each has, how it is read, and how lists of it are cut into pages.

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;

use super::connection::Row;
use super::statement::{Argument, Statement, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::backup::Backup;
use crate::domain::client::Client;
use crate::domain::job::Job;
use crate::domain::session::Session;

/// Reads a row into a struct by the names of its fields. Written here since sqlx's own derive builds all of sqlx, with its
/// drivers and TLS, a second time for the compiler.
macro_rules! impl_from_row {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl<'r, R> sqlx::FromRow<'r, R> for $type
        where
            R: sqlx::Row,
            &'static str: sqlx::ColumnIndex<R>,
            String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
            time::PrimitiveDateTime: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                Ok($type { $($field: row.try_get(stringify!($field))?,)+ })
            }
        }
    };
}
pub(crate) use impl_from_row;

/// A kind of row that is selected and listed.
pub(crate) trait Record: Row {
    /// The columns in the order in which they are read.
    const COLUMNS: &'static str;
    /// The table with its alias.
    const FROM: &'static str;
    /// The table's alias.
    const ALIAS: &'static str;
    /// The primary key.
    fn id(&self) -> &str;
    /// How many bytes its documents have.
    fn weight(&self) -> usize;
}

/// A column of a job's row of `user_credentials`. Not by a join: beside one, MariaDB sorts all jobs of the project for
/// each page of a list. There is one row at most; the minimum says so to the database.
macro_rules! of_credentials {
    ($column:ident) => {
        concat!(
            "(SELECT MIN(u.",
            stringify!($column),
            ") FROM user_credentials u WHERE u.job_id = j.id AND u.deleted = FALSE)"
        )
    };
}
pub(super) use of_credentials;

/// A row that is read column by column.
struct Values<'r, R> {
    row: &'r R,
    next: usize,
}

impl<'r, R: sqlx::Row> Values<'r, R> {
    /// The value of the next column.
    fn take<T>(&mut self) -> Result<T, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        T: Decode<'r, R::Database> + Type<R::Database>,
    {
        let value = self.row.try_get(self.next);
        self.next += 1;
        value
    }
}

/// Says once which columns make a row: those of its own table, and those that a macro makes an expression of.
macro_rules! record {
    (
        $type:ident, id $id:ident, from $from:literal, documents [$($document:ident),*],
        $alias:ident { $first:ident $(, $field:ident)* } $($expression:ident! { $($more:ident),+ })*
    ) => {
        impl Record for $type {
            const COLUMNS: &'static str = concat!(
                stringify!($alias), ".", stringify!($first)
                $(, ", ", stringify!($alias), ".", stringify!($field))*
                $($(, ", ", $expression!($more))+)*
            );
            const FROM: &'static str = $from;
            const ALIAS: &'static str = stringify!($alias);
            fn id(&self) -> &str {
                &self.$id
            }
            fn weight(&self) -> usize {
                let documents: &[&Option<String>] = &[$(&self.$document),*];
                let sizes = documents.iter().map(|document| document.as_ref().map_or(0, String::len));
                sizes.sum()
            }
        }

        impl<'r, R> FromRow<'r, R> for $type
        where
            R: sqlx::Row,
            usize: ColumnIndex<R>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            bool: Decode<'r, R::Database> + Type<R::Database>,
            i32: Decode<'r, R::Database> + Type<R::Database>,
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                let mut values = Values { row, next: 0 };
                Ok($type {
                    $first: values.take()?,
                    $($field: values.take()?,)*
                    $($($more: values.take()?,)+)*
                })
            }
        }
    };
}

record!(Client, id uuid, from "clients c", documents [], c {
    uuid, project_id, user_id, client_id, hostname, description, supported_actions, supported_modes,
    supported_storages, supported_engines, is_central
});

record!(Action, id id, from "actions a", documents [backup_metadata], a {
    id, project_id, user_id, action, actionmode, path_to_backup, backup_name, container, timeout, priority,
    max_retries_interval, max_retries, mandatory, log_file, backup_metadata
});

record!(Job, id id, from "jobs j", documents [schedule], j {
    id, project_id, user_id, schedule, client_id, session_id, session_tag, description
} of_credentials! { trust_id, trustor_user_id });

record!(Session, id id, from "sessions s", documents [schedule, job], s {
    id, project_id, user_id, description, session_tag, result, hold_off, status, time_start, time_end,
    time_started, time_ended, schedule, job
});

record!(Backup, id id, from "backups b", documents [backup_metadata], b {
    id, job_id, project_id, user_id, status, backup_metadata
});

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Documents at most.
    pub limit: u64,
    /// Documents passed over.
    pub offset: u64,
}

/// A row with the time that orders it in lists.
struct Timed<T> {
    row: T,
    created_at: Option<PrimitiveDateTime>,
}

impl<'r, R, T> FromRow<'r, R> for Timed<T>
where
    R: sqlx::Row,
    T: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    PrimitiveDateTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Timed {
            row: T::from_row(row)?,
            created_at: row.try_get("listed_at")?,
        })
    }
}

/// Conditions of a query, joined by AND.
#[derive(Clone, Debug)]
pub(crate) struct Conditions(Statement);

impl Conditions {
    /// The rows of a table that are not marked as deleted.
    pub(crate) fn live<T: Record>() -> Conditions {
        Conditions(sql(format!("{}.deleted = FALSE", T::ALIAS)))
    }

    /// The rows of a scope that are not marked as deleted.
    pub(crate) fn within<T: Record>(scope: &Scope) -> Conditions {
        let live = Conditions::live::<T>();
        match scope {
            Scope::Project(project_id) => {
                live.and(&format!("{}.project_id = ?", T::ALIAS), [project_id])
            }
            Scope::All => live,
        }
    }

    /// The live row of an id in a scope. MySQL's comparison ignores trailing blanks, so the caller looks again.
    fn of_id<T: Record>(scope: &Scope, id: &str) -> Conditions {
        Conditions::within::<T>(scope).and(&format!("{}.id = ?", T::ALIAS), [id])
    }

    /// The query for other columns of these rows than documents need.
    pub(super) fn select<T: Record>(self, columns: &str) -> Statement {
        let Conditions(Statement {
            sql: condition,
            arguments,
            ..
        }) = self;
        sql(format!(
            "SELECT {columns} FROM {} WHERE {condition}",
            T::FROM
        ))
        .bind_all(arguments)
    }

    /// Adds a condition with its values.
    pub(crate) fn and(
        self,
        condition: &str,
        values: impl IntoIterator<Item = impl Into<Argument>>,
    ) -> Conditions {
        Conditions(self.0.push(" AND ").push(condition).bind_all(values))
    }
}

/// The place in a list behind which the next page begins.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    created_at: Option<PrimitiveDateTime>,
    id: String,
}

impl Cursor {
    /// Adds the condition of the rows behind it.
    fn behind(self, alias: &str, conditions: Conditions) -> Conditions {
        match self.created_at {
            Some(time) => conditions.and(
                &format!("({alias}.created_at > ? OR ({alias}.created_at = ? AND {alias}.id > ?))"),
                [time.into(), time.into(), Argument::from(self.id)],
            ),
            // Rows without a creation time come first.
            None => conditions.and(
                &format!("({alias}.created_at IS NOT NULL OR {alias}.id > ?)"),
                [self.id],
            ),
        }
    }
}

/// Some rows of a list.
pub(super) struct Batch<T> {
    pub(super) rows: Vec<T>,
    /// The place of the last one.
    pub(super) last: Option<Cursor>,
    /// Whether more rows were asked for, and there, than the limit of bytes took.
    pub(super) is_cut: bool,
}

fn select<T: Record>(extra: &str, conditions: Conditions, rest: &str) -> Statement {
    let Conditions(Statement {
        sql: condition,
        arguments,
        ..
    }) = conditions;
    sql(format!(
        "SELECT {}{extra} FROM {} WHERE {condition}{rest}",
        T::COLUMNS,
        T::FROM
    ))
    .bind_all(arguments)
}

/// A number of rows as SQL takes it.
fn at_most(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

impl Tx {
    /// The live row of this id, if it is in the scope.
    pub(super) async fn find<T: Record>(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.select(Conditions::of_id::<T>(scope, id)).await?;
        Ok(rows.into_iter().find(|row: &T| row.id() == id))
    }

    /// The live row of this id, if it is in the scope, locked until the transaction ends.
    pub(super) async fn find_locked<T: Record>(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let rows = self
            .select_locked(Conditions::of_id::<T>(scope, id))
            .await?;
        Ok(rows.into_iter().find(|row: &T| row.id() == id))
    }

    /// Whether any row meets the conditions.
    pub(super) async fn exists<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<bool, StoreError> {
        let Conditions(Statement {
            sql: condition,
            arguments,
            ..
        }) = conditions;
        let statement = sql(format!(
            "SELECT 1 FROM {} WHERE {condition} LIMIT 1",
            T::FROM
        ));
        let found: Vec<(i32,)> = self
            .session
            .fetch_all(statement.bind_all(arguments))
            .await?;
        Ok(!found.is_empty())
    }

    /// Whether the id belongs to a row that the scope cannot have back: a deleted one, or one outside of it.
    pub(crate) async fn id_unavailable<T: Record>(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<bool, StoreError> {
        let alias = T::ALIAS;
        let condition = sql(format!("{alias}.id = ?")).bind(id);
        let lost = match scope {
            Scope::Project(project_id) => condition
                .push(&format!(
                    " AND ({alias}.deleted = TRUE OR {alias}.project_id IS NULL OR {alias}.project_id <> ?)"
                ))
                .bind(project_id),
            Scope::All => condition.push(&format!(" AND {alias}.deleted = TRUE")),
        };
        self.exists::<T>(Conditions(lost)).await
    }

    /// Marks a row as deleted; it keeps its id.
    pub(super) async fn mark_deleted(
        &mut self,
        table: &'static str,
        id: &str,
    ) -> Result<(), StoreError> {
        let statement = sql(format!(
            "UPDATE {table} SET deleted = TRUE, deleted_at = ? WHERE id = ? AND deleted = FALSE"
        ));
        self.session
            .execute(statement.bind(self.now()).bind(id))
            .await?;
        Ok(())
    }

    /// All rows that meet the conditions, in no order.
    pub(super) async fn select<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<Vec<T>, StoreError> {
        self.session
            .fetch_all(select::<T>("", conditions, ""))
            .await
    }

    /// All rows that meet the conditions, each locked until the transaction ends.
    pub(super) async fn select_locked<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<Vec<T>, StoreError> {
        if self.session.in_galera() {
            self.write_before_lock::<T>(conditions.clone()).await?;
        }
        let lock = self.row_lock::<T>();
        self.session
            .fetch_all(select::<T>("", conditions, &lock))
            .await
    }

    /// Writes the rows that are to be locked, and nothing that a document shows. The nodes of a Galera cluster do not know
    /// each other's locks: of two transactions on two nodes one fails only where both have written a row
    /// (docs/adr/0006-every-lock-is-a-write-on-galera.md). An UPDATE that changes nothing writes nothing, so the time grows
    /// by a second at least.
    async fn write_before_lock<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<(), StoreError> {
        let Conditions(Statement {
            sql: condition,
            arguments,
            ..
        }) = conditions;
        let statement = sql(format!(
            "UPDATE {0} SET {1}.updated_at = COALESCE(GREATEST(?, {1}.updated_at + INTERVAL 1 SECOND), ?) WHERE {condition}",
            T::FROM,
            T::ALIAS
        ));
        let statement = statement.bind(self.now()).bind(self.now());
        self.session
            .execute(statement.bind_all(arguments))
            .await
            .map(drop)
    }

    /// The rows behind `after` in the order of creation time and id: as many as the page and `bytes` take, but one at least.
    pub(super) async fn select_after<T: Record>(
        &mut self,
        conditions: Conditions,
        after: Option<Cursor>,
        page: Page,
        bytes: usize,
        is_kept: bool,
    ) -> Result<Batch<T>, StoreError> {
        let alias = T::ALIAS;
        let conditions = match after {
            None => conditions,
            Some(cursor) => cursor.behind(alias, conditions),
        };
        let extra = format!(", {alias}.created_at AS listed_at");
        let order = self.list_order::<T>();
        let statement = if is_kept {
            select::<T>(&extra, conditions, &format!("{order} LIMIT ? OFFSET ?"))
                .bind(at_most(page.limit))
                .bind(at_most(page.offset))
        } else {
            // The conditions of searches differ from request to request.
            let rest = format!("{order} LIMIT {} OFFSET {}", page.limit, page.offset);
            select::<T>(&extra, conditions, &rest).not_kept()
        };
        let mut batch = Batch {
            rows: Vec::new(),
            last: None,
            is_cut: false,
        };
        let mut weight = 0;
        // Rows beyond the limit of bytes are dropped as they come, and read again by the next batch.
        let take = |Timed { row, created_at }: Timed<T>| {
            if batch.is_cut {
                return;
            }
            if weight > bytes {
                batch.is_cut = true;
                return;
            }
            weight += row.weight();
            let id = row.id().to_owned();
            batch.last = Some(Cursor { created_at, id });
            batch.rows.push(row);
        };
        self.session.fetch_each(statement, take).await?;
        Ok(batch)
    }

    /// Creation time, then id; rows without a time first, as MySQL and SQLite have it by themselves.
    fn list_order<T: Record>(&self) -> String {
        let nulls = match self.engine() {
            Engine::Postgres => " NULLS FIRST",
            Engine::MySql | Engine::Sqlite => "",
        };
        format!(" ORDER BY {0}.created_at{nulls}, {0}.id", T::ALIAS)
    }

    /// What locks the rows of a query. SQLite's transactions have locked the whole file already.
    fn row_lock<T: Record>(&self) -> String {
        match self.engine() {
            Engine::MySql => " FOR UPDATE".to_owned(),
            Engine::Postgres => format!(" FOR UPDATE OF {}", T::ALIAS),
            Engine::Sqlite => String::new(),
        }
    }
}
