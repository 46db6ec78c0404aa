//! Rows: which columns each has, how it is read, and which conditions queries for it have.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::connection::Row;
use super::statement::{Argument, Statement, in_lists, placeholders, sql};
use super::{StoreError, Tx};
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

/// The largest text, in bytes, that is read without an account of its memory.
pub(super) const SMALL_TEXT: usize = 16 * 1024;

/// A kind of row that is selected and listed.
pub(crate) trait Record: Row {
    /// What one is called.
    const KIND: &'static str;
    /// The columns in the order in which they are read.
    const COLUMNS: &'static str;
    /// Those of its own table, without the alias.
    const OWN_COLUMNS: &'static [&'static str];
    /// The table.
    const TABLE: &'static str;
    /// The table with its alias.
    const FROM: &'static str;
    /// The table's alias.
    const ALIAS: &'static str;
    /// Those of its columns that can hold large texts.
    const DOCUMENTS: &'static [&'static str];
    /// The primary key.
    fn id(&self) -> &str;
    /// The values of its own columns, in their order.
    fn values(&self) -> Vec<Argument>;
    /// How many bytes its documents have.
    fn weight(&self) -> usize;
    /// Whether any of its documents is an empty text.
    fn has_empty_document(&self) -> bool;
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
pub(super) struct Values<'r, R> {
    row: &'r R,
    next: usize,
}

impl<'r, R: sqlx::Row> Values<'r, R> {
    /// All columns of a row.
    pub(super) fn of(row: &'r R) -> Values<'r, R> {
        Values { row, next: 0 }
    }

    /// Whether the next column has a text.
    pub(super) fn has_text(&self) -> Result<bool, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        String: Decode<'r, R::Database> + Type<R::Database>,
    {
        let value: Option<String> = self.row.try_get(self.next)?;
        Ok(value.is_some())
    }

    /// The value of the next column.
    pub(super) fn take<T>(&mut self) -> Result<T, sqlx::Error>
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
        $type:ident, id $id:ident, table $table:ident, documents [$($document:ident),*],
        $alias:ident { $first:ident $(, $field:ident)* } $($expression:ident! { $($more:ident),+ })*
    ) => {
        impl Record for $type {
            const KIND: &'static str = stringify!($type);
            const COLUMNS: &'static str = concat!(
                stringify!($alias), ".", stringify!($first)
                $(, ", ", stringify!($alias), ".", stringify!($field))*
                $($(, ", ", $expression!($more))+)*
            );
            const OWN_COLUMNS: &'static [&'static str] = &[stringify!($first) $(, stringify!($field))*];
            const TABLE: &'static str = stringify!($table);
            const FROM: &'static str = concat!(stringify!($table), " ", stringify!($alias));
            const ALIAS: &'static str = stringify!($alias);
            const DOCUMENTS: &'static [&'static str] = &[$(stringify!($document)),*];
            fn id(&self) -> &str {
                &self.$id
            }
            fn values(&self) -> Vec<Argument> {
                vec![self.$first.to_owned().into() $(, self.$field.to_owned().into())*]
            }
            fn weight(&self) -> usize {
                let documents: &[&Option<String>] = &[$(&self.$document),*];
                let sizes = documents.iter().map(|document| document.as_ref().map_or(0, String::len));
                sizes.sum()
            }
            fn has_empty_document(&self) -> bool {
                let documents: &[&Option<String>] = &[$(&self.$document),*];
                documents.iter().any(|document| document.as_ref().is_some_and(String::is_empty))
            }
        }

        impl $type {
            /// Reads it from the next columns of a row.
            pub(super) fn from_values<'r, R>(values: &mut Values<'r, R>) -> Result<Self, sqlx::Error>
            where
                R: sqlx::Row,
                usize: ColumnIndex<R>,
                String: Decode<'r, R::Database> + Type<R::Database>,
                bool: Decode<'r, R::Database> + Type<R::Database>,
                i32: Decode<'r, R::Database> + Type<R::Database>,
            {
                Ok($type {
                    $first: values.take()?,
                    $($field: values.take()?,)*
                    $($($more: values.take()?,)+)*
                })
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
                Self::from_values(&mut Values::of(row))
            }
        }
    };
}

record!(Client, id uuid, table clients, documents [], c {
    uuid, project_id, user_id, client_id, hostname, description, supported_actions, supported_modes,
    supported_storages, supported_engines, is_central
});

record!(Action, id id, table actions, documents [backup_metadata], a {
    id, project_id, user_id, action, actionmode, path_to_backup, backup_name, container, timeout, priority,
    max_retries_interval, max_retries, mandatory, log_file, backup_metadata
});

record!(Job, id id, table jobs, documents [schedule], j {
    id, project_id, user_id, schedule, client_id, session_id, session_tag, description
} of_credentials! { trust_id, trustor_user_id });

record!(Session, id id, table sessions, documents [schedule, job], s {
    id, project_id, user_id, description, session_tag, result, hold_off, status, time_start, time_end,
    time_started, time_ended, schedule, job
});

record!(Backup, id id, table backups, documents [backup_metadata], b {
    id, job_id, project_id, user_id, status, backup_metadata
});

/// A row without its large texts, and how many bytes those have.
pub(super) struct Measured<T> {
    pub(super) row: T,
    pub(super) left_out: usize,
}

impl<'r, R, T> FromRow<'r, R> for Measured<T>
where
    R: sqlx::Row,
    T: FromRow<'r, R> + Record,
    usize: ColumnIndex<R>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let mut left_out = 0;
        for index in row.len().saturating_sub(T::DOCUMENTS.len())..row.len() {
            let bytes: Option<i32> = row.try_get(index)?;
            left_out += bytes.map_or(0, i32::unsigned_abs) as usize;
        }
        Ok(Measured {
            row: T::from_row(row)?,
            left_out,
        })
    }
}

/// The columns of a record with an empty text for each of more than `most` bytes. To ask for sizes as well takes an eighth
/// more of MariaDB's time, so only a read that meets an empty text, of which hardly any is stored, is made again by
/// [`measured_columns`].
pub(super) fn bounded_columns<T: Record>(most: usize) -> String {
    columns_with_documents::<T>(|column, size| {
        format!("CASE WHEN {size} > {most} THEN '' ELSE {column} END")
    })
}

/// The columns of a record without texts of more than `most` bytes, and how many bytes those have.
pub(super) fn measured_columns<T: Record>(more: &str, most: usize) -> String {
    let mut columns = columns_with_documents::<T>(|column, size| {
        format!("CASE WHEN {size} <= {most} THEN {column} END")
    });
    columns += more;
    for document in T::DOCUMENTS {
        let size = format!("OCTET_LENGTH({}.{document})", T::ALIAS);
        columns += &format!(", CASE WHEN {size} > {most} THEN {size} END AS {document}_size");
    }
    columns
}

/// The columns of a record, each document as an expression of its column and of its size.
fn columns_with_documents<T: Record>(expression: impl Fn(&str, &str) -> String) -> String {
    let mut columns = T::COLUMNS.to_owned();
    for document in T::DOCUMENTS {
        let column = format!("{}.{document}", T::ALIAS);
        let value = expression(&column, &format!("OCTET_LENGTH({column})"));
        columns = columns.replacen(&column, &format!("{value} AS {document}"), 1);
    }
    columns
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
        Conditions::live::<T>().of_scope::<T>(scope)
    }

    /// The rows of a scope that are marked as deleted.
    pub(super) fn deleted_within<T: Record>(scope: &Scope) -> Conditions {
        Conditions(sql(format!("{}.deleted = TRUE", T::ALIAS))).of_scope::<T>(scope)
    }

    fn of_scope<T: Record>(self, scope: &Scope) -> Conditions {
        match scope {
            Scope::Project(project_id) => {
                self.and(&format!("{}.project_id = ?", T::ALIAS), [project_id])
            }
            Scope::All => self,
        }
    }

    /// The live row of an id in a scope. MySQL's comparison ignores trailing blanks, so the caller looks again.
    pub(super) fn of_id<T: Record>(scope: &Scope, id: &str) -> Conditions {
        Conditions::within::<T>(scope).and(&format!("{}.id = ?", T::ALIAS), [id])
    }

    /// The row of an id, whoever's, and deleted or not.
    pub(super) fn of_any<T: Record>(id: &str) -> Conditions {
        Conditions(sql(format!("{}.id = ?", T::ALIAS)).bind(id))
    }

    /// The query for columns of these rows.
    pub(super) fn select<T: Record>(self, columns: &str) -> Statement {
        self.select_by::<T>(columns, None)
    }

    /// The same; MySQL is told by which index, if any.
    pub(super) fn select_by<T: Record>(
        self,
        columns: &str,
        index: Option<&'static str>,
    ) -> Statement {
        let select = sql(format!("SELECT {columns} FROM {}", T::FROM));
        self.apply_to(match index {
            Some(index) => select.push(" FORCE INDEX (").push(index).push(")"),
            None => select,
        })
    }

    /// Adds them to a statement without WHERE.
    pub(super) fn apply_to(self, statement: Statement) -> Statement {
        statement.push(" WHERE ").push_statement(self.0)
    }

    /// Keeps connections from keeping statements with them prepared.
    pub(super) fn not_kept(self) -> Conditions {
        Conditions(self.0.not_kept())
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

    /// The live rows of these ids, in no order.
    pub(crate) async fn live_rows<T: Record>(
        &mut self,
        ids: &[&str],
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        for ids in in_lists(ids) {
            let condition = format!("{}.id IN ({})", T::ALIAS, placeholders(ids.len()));
            let conditions = Conditions::live::<T>().and(&condition, ids);
            rows.extend(self.select(conditions).await?);
        }
        Ok(rows)
    }

    /// Whether any row meets the conditions.
    pub(super) async fn exists<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<bool, StoreError> {
        let statement = conditions.select::<T>("1").push(" LIMIT 1");
        let found: Vec<(i32,)> = self.session.fetch_all(statement).await?;
        Ok(!found.is_empty())
    }

    /// Whether the id belongs to a row that the scope cannot have back: a deleted one, or one outside of it.
    pub(crate) async fn id_unavailable<T: Record>(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<bool, StoreError> {
        let alias = T::ALIAS;
        let Conditions(condition) = Conditions::of_any::<T>(id);
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

    /// All rows that meet the conditions, in no order.
    pub(super) async fn select<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<Vec<T>, StoreError> {
        self.select_ending::<T>(conditions, "").await
    }

    /// The same by a statement with this end.
    ///
    /// # Errors
    /// [`StoreError::NeedsRoom`] where documents are large, and there is no room for them yet.
    pub(super) async fn select_ending<T: Record>(
        &mut self,
        conditions: Conditions,
        end: &str,
    ) -> Result<Vec<T>, StoreError> {
        if self.reads_all() || T::DOCUMENTS.is_empty() {
            let statement = conditions.select::<T>(T::COLUMNS).push(end);
            return self.session.fetch_all(statement).await;
        }
        let columns = bounded_columns::<T>(SMALL_TEXT);
        let statement = conditions.clone().select::<T>(&columns).push(end);
        let rows: Vec<T> = self.session.fetch_all(statement).await?;
        if !rows.iter().any(T::has_empty_document) {
            return Ok(rows);
        }
        self.select_measured(conditions, end).await
    }

    /// The same where a text is large, or empty.
    async fn select_measured<T: Record>(
        &mut self,
        conditions: Conditions,
        end: &str,
    ) -> Result<Vec<T>, StoreError> {
        let columns = measured_columns::<T>("", SMALL_TEXT);
        let statement = conditions.select::<T>(&columns).push(end);
        let (mut rows, mut large) = (Vec::new(), 0);
        let take = |Measured { row, left_out }: Measured<T>| {
            large += left_out;
            rows.push(row);
        };
        self.session.fetch_each(statement, take).await?;
        if large > 0 {
            return Err(StoreError::NeedsRoom(large));
        }
        Ok(rows)
    }
}
