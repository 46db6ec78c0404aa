//! What SQL can say of a search: it drops rows that cannot pass, by columns and by the text of the JSON.

use super::Engine;
use super::members::{Indexed, LookUp, is_plain};
use super::rows::Conditions;
use super::statement::Argument;
use super::tables::{Column, ColumnKind, Json, Table};
use crate::domain::search::{Pair, Search};

/// Pairs of a search that SQL narrows by, so that no statement grows with the request.
const MAX_NARROWING: usize = 8;

/// The pairs of a search that SQL narrows by. Identifiers come first: they leave the fewest rows.
pub(super) fn narrowing(pairs: &[Pair]) -> Vec<&Pair> {
    let mut pairs: Vec<&Pair> = pairs.iter().collect();
    pairs.sort_by_key(|(key, _)| !key.ends_with("_id"));
    pairs.truncate(MAX_NARROWING);
    pairs
}

/// Where the members of a resource's documents are found in the tables.
pub(crate) struct Searchable {
    /// The resource's table, whose columns show most members.
    pub(super) table: &'static Table,
    /// Its alias in queries.
    pub(super) alias: &'static str,
    /// Members that are put together from several columns or rows, which SQL does not test.
    pub(super) composed: &'static [&'static str],
    /// Members with text from other tables: name and expression.
    pub(super) joined: &'static [(&'static str, &'static str)],
    /// Members of the documents that are looked up by an index.
    pub(super) indexed: Option<Indexed>,
}

/// The members of a schedule; others are refused by us and by the reference.
pub(super) const SCHEDULE: &[&str] = &[
    "time_created",
    "time_started",
    "time_ended",
    "current_pid",
    "event",
    "status",
    "result",
    "schedule_date",
    "schedule_start_date",
    "schedule_end_date",
    "schedule_interval",
    "schedule_year",
    "schedule_month",
    "schedule_day",
    "schedule_week",
    "schedule_day_of_week",
    "schedule_hour",
    "schedule_minute",
    "schedule_second",
];

/// Alternatives of which one must hold, with their values; none of them: nothing can pass.
#[derive(Default)]
pub(super) struct Alternatives {
    sql: Vec<String>,
    arguments: Vec<Argument>,
}

impl Alternatives {
    pub(super) fn add(&mut self, sql: String, arguments: impl IntoIterator<Item = Argument>) {
        self.sql.push(sql);
        self.arguments.extend(arguments);
    }

    /// The condition that one of them holds, with its values.
    pub(super) fn into_condition(self) -> (String, Vec<Argument>) {
        if self.sql.is_empty() {
            return ("1 = 0".to_owned(), Vec::new());
        }
        (format!("({})", self.sql.join(" OR ")), self.arguments)
    }
}

/// What the JSON text of an object contains when the member `key` is `value`: with a blank behind the colon, as the
/// reference writes, and without, as we do.
fn member_texts(key: &str, value: &str) -> [Argument; 2] {
    [
        format!("\"{key}\":\"{value}\"").into(),
        format!("\"{key}\": \"{value}\"").into(),
    ]
}

impl Searchable {
    /// Ways in which a row can have `key` = `value`; `None` where SQL cannot tell.
    pub(super) fn alternatives(&self, engine: Engine, (key, value): &Pair) -> Option<Alternatives> {
        let text = value.as_str().filter(|text| is_plain(text));
        let (true, Some(text)) = (is_plain(key), text) else {
            return None;
        };
        if self.composed.contains(&key.as_str()) {
            return None;
        }
        let mut alternatives = Alternatives::default();
        for (_, expression) in self.joined.iter().filter(|(name, _)| name == key) {
            alternatives.add(format!("{expression} = ?"), [text.into()]);
        }
        for column in self.table.columns {
            let name = format!("{}.{}", self.alias, column.name);
            match column.kind {
                ColumnKind::Text if column.member == Some(key) => {
                    alternatives.add(format!("{name} = ?"), [text.into()]);
                }
                _ if column.member == Some(key) => return None,
                ColumnKind::Json(json) if may_have(json, key) => {
                    alternatives.add(contains_either(engine, &name), member_texts(key, text));
                }
                _ => {}
            }
        }
        Some(alternatives)
    }

    /// Adds what SQL can say of a search.
    pub(super) fn narrow(
        &self,
        engine: Engine,
        mut conditions: Conditions,
        search: &Search,
    ) -> Conditions {
        for pair in narrowing(&search.matching) {
            if let Some(alternatives) = self.alternatives(engine, pair) {
                let (sql, arguments) = alternatives.into_condition();
                conditions = conditions.and(&sql, arguments);
            }
        }
        self.narrow_not(engine, conditions, search)
    }

    /// The index by which a search is looked up, if one helps.
    pub(super) fn look_up(&self, engine: Engine, search: &Search) -> Option<LookUp> {
        let indexed = self.indexed.as_ref()?;
        indexed.look_up(engine, self.alias, &search.matching)
    }

    /// Whether SQL says all of a search: what it leaves passes, but for what stands in a text and is no member.
    pub(super) fn covers(&self, engine: Engine, search: &Search) -> bool {
        let pairs = [&search.matching, &search.not_matching];
        search.has_pairs_alone()
            && pairs.iter().all(|pairs| pairs.len() <= MAX_NARROWING)
            && (search.matching.iter()).all(|pair| self.alternatives(engine, pair).is_some())
            && (search.not_matching.iter()).all(|pair| self.schedule_text(pair).is_some())
    }

    /// The column of the schedule and the value that SQL can look for in it; `None` for other pairs.
    fn schedule_text<'p>(&self, (key, value): &'p Pair) -> Option<(&'static str, &'p str)> {
        let is_schedule = |column: &&Column| column.kind == ColumnKind::Json(Json::Schedule);
        let column = self.table.columns.iter().find(is_schedule)?;
        let text = value.as_str().filter(|text| is_plain(text))?;
        SCHEDULE
            .contains(&key.as_str())
            .then_some((column.name, text))
    }

    /// Adds what SQL can say of `match_not`. Only a flat text tells that a member has a value, rather than that it may.
    pub(super) fn narrow_not(
        &self,
        engine: Engine,
        mut conditions: Conditions,
        search: &Search,
    ) -> Conditions {
        for pair in narrowing(&search.not_matching) {
            if let Some((column, text)) = self.schedule_text(pair) {
                let column = format!("{}.{column}", self.alias);
                let sql = format!(
                    "({column} IS NULL OR NOT {})",
                    contains_either(engine, &column)
                );
                conditions = conditions.and(&sql, member_texts(&pair.0, text));
            }
        }
        conditions
    }
}

/// A condition on two values, of which the column contains one.
fn contains_either(engine: Engine, column: &str) -> String {
    let function = match engine {
        Engine::MySql | Engine::Sqlite => "INSTR",
        Engine::Postgres => "STRPOS",
    };
    format!("({function}({column}, ?) > 0 OR {function}({column}, ?) > 0)")
}

/// Whether a column's JSON can have a member of this name.
fn may_have(json: Json, key: &str) -> bool {
    match json {
        Json::Object => true,
        Json::Schedule => SCHEDULE.contains(&key),
        Json::Strings => false,
    }
}
