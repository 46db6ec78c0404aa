//! Pages of lists: in which order, behind which place, and as many rows as there is room for.

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;

use super::members::LookUp;
use super::rows::{Conditions, Measured, Record, bounded_columns, impl_from_row, measured_columns};
use super::sink::Sink;
use super::statement::{Argument, Statement, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Documents at most.
    pub limit: u64,
    /// Documents passed over.
    pub offset: u64,
}

/// How lists are ordered: by creation time, then id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Ascending.
    #[default]
    OldestFirst,
    /// Descending.
    NewestFirst,
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

/// The place in a list behind which the next page begins.
#[derive(Clone, Debug)]
pub struct Cursor {
    created_at: Option<PrimitiveDateTime>,
    id: String,
}

impl_from_row!(Cursor { id, created_at });

impl Cursor {
    /// The place of a row.
    pub(super) fn new(created_at: Option<PrimitiveDateTime>, id: &str) -> Cursor {
        let id = id.to_owned();
        Cursor { created_at, id }
    }

    /// Whether its row has a creation time.
    pub(super) fn is_timed(&self) -> bool {
        self.created_at.is_some()
    }

    /// Adds the condition of the rows behind it. Rows without a creation time count as the oldest.
    fn behind(self, order: Order, alias: &str, conditions: Conditions) -> Conditions {
        let condition = match (self.is_timed(), order) {
            (true, Order::OldestFirst) => return self.timed_behind(order, alias, conditions),
            (true, Order::NewestFirst) => {
                "(x.created_at < ? OR x.created_at IS NULL OR (x.created_at = ? AND x.id < ?))"
            }
            (false, Order::OldestFirst) => "(x.created_at IS NOT NULL OR x.id > ?)",
            (false, Order::NewestFirst) => "(x.created_at IS NULL AND x.id < ?)",
        };
        self.condition(condition, alias, conditions)
    }

    /// The same of those with a creation time alone, which every engine looks up in an index.
    fn timed_behind(self, order: Order, alias: &str, conditions: Conditions) -> Conditions {
        let condition = match order {
            Order::OldestFirst => "x.created_at >= ? AND (x.created_at > ? OR x.id > ?)",
            Order::NewestFirst => "x.created_at <= ? AND (x.created_at < ? OR x.id < ?)",
        };
        self.condition(condition, alias, conditions)
    }

    fn condition(self, condition: &str, alias: &str, conditions: Conditions) -> Conditions {
        let times = [self.created_at; 2]
            .into_iter()
            .flatten()
            .map(Argument::from);
        let condition = condition.replace("x.", &format!("{alias}."));
        conditions.and(&condition, times.chain([self.id.into()]))
    }
}

/// Where a part of a list begins.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// With the first row.
    Beginning,
    /// Behind a place.
    Behind(Cursor),
    /// Behind a place, without the rows that have no creation time: of a list that has the newest first, those come last, and
    /// no condition on both is looked up in an index.
    TimedBehind(Cursor),
    /// With the first of the rows that have no creation time.
    Untimed,
}

impl Start {
    /// Adds the condition of the rows from here on.
    fn apply(self, order: Order, alias: &str, conditions: Conditions) -> Conditions {
        match self {
            Start::Beginning => conditions,
            Start::Behind(cursor) => cursor.behind(order, alias, conditions),
            Start::TimedBehind(cursor) => cursor.timed_behind(order, alias, conditions),
            Start::Untimed => conditions.and(&format!("{alias}.created_at IS NULL"), [""; 0]),
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
    /// How many bytes the documents of the rows have, and may have besides the last row's.
    weight: usize,
    max_weight: usize,
}

impl<T> Batch<T> {
    pub(super) fn new(max_weight: usize) -> Batch<T> {
        Batch {
            rows: Vec::new(),
            last: None,
            is_cut: false,
            weight: 0,
            max_weight,
        }
    }

    /// Whether another row has its place. The first one that has none, and all behind it, are dropped as they come, and
    /// read again by the next batch.
    pub(super) fn has_room(&mut self) -> bool {
        self.is_cut |= self.weight > self.max_weight;
        !self.is_cut
    }

    /// How many rows have their place, if all are as large as these.
    pub(super) fn rows_that_fit(&self) -> u64 {
        let rows = self.rows.len().max(1);
        let fit = self.max_weight.saturating_mul(rows) / self.weight.max(1) + 1;
        fit as u64
    }

    /// Adds a row, if it has its place: whether it had.
    fn add(&mut self, row: T) -> bool
    where
        T: Record,
    {
        let has_room = self.has_room();
        if has_room {
            self.weigh(row.weight());
            self.rows.push(row);
        }
        has_room
    }

    /// Adds a row behind whose place the next batch can begin.
    fn add_timed(&mut self, Timed { row, created_at }: Timed<T>)
    where
        T: Record,
    {
        let place = Cursor::new(created_at, row.id());
        if self.add(row) {
            self.last = Some(place);
        }
    }

    /// Counts the bytes of what a row adds.
    pub(super) fn weigh(&mut self, bytes: usize) {
        self.weight += bytes;
    }
}

/// Which rows a batch has.
#[derive(Clone)]
pub(super) struct Slice {
    pub(super) conditions: Conditions,
    /// The index by which the rows are looked up, if not by that of their order.
    pub(super) look_up: Option<LookUp>,
    /// On MySQL, the index of their order where there is nothing to choose.
    pub(super) index: Option<&'static str>,
    pub(super) order: Order,
    pub(super) start: Start,
    pub(super) page: Page,
}

impl Slice {
    /// The query for these columns of the rows.
    pub(super) fn select<T: Record>(self, engine: Engine, columns: &str) -> Statement {
        let conditions = self.start.apply(self.order, T::ALIAS, self.conditions);
        let time = format!("{}.created_at", T::ALIAS);
        let order = sql(order_by(
            engine,
            self.order,
            &time,
            &format!("{}.id", T::ALIAS),
        ));
        let (limit, offset) = (at_most(self.page.limit), at_most(self.page.offset));
        let end = match engine {
            Engine::MySql | Engine::Postgres => {
                order.push(" LIMIT ? OFFSET ?").bind(limit).bind(offset)
            }
            // Prepares a statement anew whenever a limit is bound.
            Engine::Sqlite => order.push(&format!(" LIMIT {limit} OFFSET {offset}")),
        };
        match self.look_up {
            Some(look_up) => look_up.select::<T>(conditions, columns, end),
            None => conditions
                .select_by::<T>(columns, self.index)
                .push_statement(end),
        }
    }
}

/// The order of a list by the expressions for time and id. Rows without a time count as the oldest, as MySQL and SQLite have it
/// by themselves.
pub(super) fn order_by(engine: Engine, order: Order, time: &str, id: &str) -> String {
    match (order, engine) {
        (Order::OldestFirst, Engine::Postgres) => format!(" ORDER BY {time} NULLS FIRST, {id}"),
        (Order::OldestFirst, _) => format!(" ORDER BY {time}, {id}"),
        (Order::NewestFirst, Engine::Postgres) => {
            format!(" ORDER BY {time} DESC NULLS LAST, {id} DESC")
        }
        (Order::NewestFirst, _) => format!(" ORDER BY {time} DESC, {id} DESC"),
    }
}

/// A number of rows as SQL takes it.
fn at_most(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

impl Tx {
    /// The place in lists of one of the visible rows, or of one that was deleted, so that a page can begin behind a document
    /// that has gone since.
    pub(super) async fn place<T: Record>(
        &mut self,
        visible: Conditions,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Cursor>, StoreError> {
        for rows in [visible, Conditions::deleted_within::<T>(scope)] {
            let query = rows
                .and(&format!("{}.id = ?", T::ALIAS), [id])
                .select::<T>(&format!(
                    "{0}.id AS id, {0}.created_at AS created_at",
                    T::ALIAS
                ));
            let found: Vec<Cursor> = self.session.fetch_all(query).await?;
            let found = found.into_iter().find(|place| place.id == id);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The rows of a slice: as many as the sink has room for, but one at least. A database that does not have the slice's index
    /// finds them in another way.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where a row is large, and the sink has no memory for it.
    pub(super) async fn select_slice<T: Record>(
        &mut self,
        slice: Slice,
        sink: &mut Sink,
    ) -> Result<Batch<T>, StoreError> {
        let by_any = slice.index.is_some().then(|| Slice {
            index: None,
            ..slice.clone()
        });
        match (self.select_as_told(slice, sink).await, by_any) {
            (Err(error), Some(by_any)) if error.is_missing_index() => {
                Box::pin(self.select_as_told(by_any, sink)).await
            }
            (selected, _) => selected,
        }
    }

    async fn select_as_told<T: Record>(
        &mut self,
        slice: Slice,
        sink: &mut Sink,
    ) -> Result<Batch<T>, StoreError> {
        if let (false, Some(largest)) = (self.session.in_snapshot(), sink.largest_row())
            && let Some(only) = self.select_only(slice.clone(), largest, sink).await?
        {
            return Ok(only);
        }
        sink.next_turn().await;
        while let Some(largest) = sink.largest_row().filter(|_| !T::DOCUMENTS.is_empty()) {
            let batch = Batch::new(sink.batch());
            let (batch, left_out) = self.select_up_to(slice.clone(), largest, batch).await?;
            if left_out == 0 {
                return Ok(batch);
            }
            sink.expect_row(left_out).await?;
            sink.next_turn().await;
        }
        let columns = format!("{}{}", T::COLUMNS, time_of::<T>());
        let statement = slice.select::<T>(self.engine(), &columns);
        let mut batch = Batch::new(sink.batch());
        self.session
            .fetch_each(statement, |row| batch.add_timed(row))
            .await?;
        Ok(batch)
    }

    /// The rows of a slice behind which none are read, since that takes a snapshot, so that they come without their places;
    /// `None` if a text is larger than this, or empty.
    async fn select_only<T: Record>(
        &mut self,
        slice: Slice,
        largest: usize,
        sink: &Sink,
    ) -> Result<Option<Batch<T>>, StoreError> {
        let statement = slice.select::<T>(self.engine(), &bounded_columns::<T>(largest));
        let mut batch = Batch::new(sink.batch());
        let add = |row| {
            batch.add(row);
        };
        self.session.fetch_each(statement, add).await?;
        let is_whole = !batch.rows.iter().any(T::has_empty_document);
        Ok(is_whole.then_some(batch))
    }

    /// Adds the rows of a slice without texts that are larger than this; how many bytes the largest row with such texts has.
    async fn select_up_to<T: Record>(
        &mut self,
        slice: Slice,
        largest: usize,
        mut batch: Batch<T>,
    ) -> Result<(Batch<T>, usize), StoreError> {
        let columns = measured_columns::<T>(&time_of::<T>(), largest);
        let statement = slice.select::<T>(self.engine(), &columns);
        let mut left_out = 0;
        let take = |Timed { row, created_at }: Timed<Measured<T>>| {
            left_out = left_out.max(row.left_out);
            let row = row.row;
            batch.add_timed(Timed { row, created_at });
        };
        self.session.fetch_each(statement, take).await?;
        Ok((batch, left_out))
    }
}

/// The column of a row's place.
fn time_of<T: Record>() -> String {
    format!(", {}.created_at AS listed_at", T::ALIAS)
}
