//! Which backups are in which series, and how many each has.
//!
//! Who changes which backups a series has locks its row first, in the order of the ids, so that no two count at the same time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::series::{BATCH, KEY_COLUMNS};
use super::statement::{Argument, Statement, in_lists, pieces, placeholders, sql};
use super::upsert::{Replaced, or_stays};
use super::{Engine, StoreError, Tx};
use crate::domain::backup::Backup;
use crate::domain::series::{Recorded, SeriesKey};

/// Up to how many backups a series is counted anew at each change. Larger ones are added to, so that no transaction takes longer the
/// longer a series is.
const COUNTED: i64 = 1000;
/// How many backups are counted at once, when it is looked whether series have as many as was counted. One series is, however long.
const COUNTED_AT_ONCE: i64 = 10_000;
/// How often a series is made that others remove at the same time.
const MAX_TRIES: usize = 3;

/// Which backup is in which series.
const MEMBERS: Replaced = Replaced {
    table: "freezer_api_backup_series",
    key: &["backup_id"],
    columns: &["backup_id", "series_id", "created_at"],
};

impl Tx {
    /// Puts backups that were read before into the series that they belong to now, unless they are gone; how many changed. Who changes
    /// or deletes one meanwhile waits, and finds it in its series.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn place_found(&mut self, backups: &[Recorded]) -> Result<usize, StoreError> {
        let ids: Vec<String> = backups.iter().map(|one| one.backup_id.clone()).collect();
        let now_in = self.series_of(&ids).await?;
        let is_elsewhere = |one: &&Recorded| now_in.get(&one.backup_id) != Some(&one.series.id);
        let elsewhere = backups.iter().filter(is_elsewhere);
        let elsewhere: Vec<&String> = elsewhere.map(|one| &one.backup_id).collect();
        let backups = self.lock_recorded(&elsewhere).await?;
        self.place_backups(&backups).await
    }

    /// Puts backups into their series, out of those that they are in; how many changed.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn place_backups(&mut self, backups: &[Recorded]) -> Result<usize, StoreError> {
        let ids: Vec<String> = backups.iter().map(|one| one.backup_id.clone()).collect();
        let now_in = self.series_of(&ids).await?;
        let moved: Vec<&Recorded> = backups
            .iter()
            .filter(|one| now_in.get(&one.backup_id) != Some(&one.series.id))
            .collect();
        if moved.is_empty() {
            return Ok(0);
        }
        let mut changes = Changes::default();
        for one in &moved {
            if let Some(left) = now_in.get(&one.backup_id) {
                changes.add(left, -1);
            }
            changes.add(&one.series.id, 1);
        }
        let locked = self.make_and_lock(&moved, &changes.touched()).await?;
        self.expect_series(&ids, &now_in).await?;
        let is_new = |one: &&&Recorded| !now_in.contains_key(&one.backup_id);
        let (new, others): (Vec<&Recorded>, Vec<&Recorded>) = moved.iter().partition(is_new);
        self.add_members(&new).await?;
        let rows: Vec<Vec<Argument>> = others.iter().map(|one| member(one)).collect();
        self.replace(&MEMBERS, &rows).await?;
        self.count_changed(&changes, &locked).await?;
        Ok(moved.len())
    }

    /// Adds backups that were in no series. One that another transaction has put into one meanwhile is looked at again.
    async fn add_members(&mut self, new: &[&Recorded]) -> Result<(), StoreError> {
        for piece in pieces(new) {
            let rows = vec!["(?, ?, ?)"; piece.len()].join(", ");
            let insert = sql(format!(
                "INSERT INTO freezer_api_backup_series (backup_id, series_id, created_at) VALUES {rows}"
            ));
            let insert = insert.bind_all(piece.iter().flat_map(|one| member(one)));
            let inserted = self.session.execute(insert).await;
            inserted.map_err(StoreError::retry_if_duplicate)?;
        }
        Ok(())
    }

    /// Begins anew where, before their series were locked, backups came to be in other ones than these.
    async fn expect_series(
        &mut self,
        ids: &[String],
        expected: &HashMap<String, String>,
    ) -> Result<(), StoreError> {
        if self.series_of(ids).await? == *expected {
            Ok(())
        } else {
            Err(StoreError::Overtaken)
        }
    }

    /// Takes backups out of their series; how many were in one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_from_series(&mut self, backup_ids: &[String]) -> Result<usize, StoreError> {
        let now_in = self.series_of(backup_ids).await?;
        if now_in.is_empty() {
            return Ok(0);
        }
        let mut changes = Changes::default();
        for series_id in now_in.values() {
            changes.add(series_id, -1);
        }
        let locked = self.lock_series(&changes.touched()).await?;
        self.expect_series(backup_ids, &now_in).await?;
        for ids in in_lists(backup_ids) {
            let list = placeholders(ids.len());
            let delete =
                format!("DELETE FROM freezer_api_backup_series WHERE backup_id IN ({list})");
            self.session.execute(sql(delete).bind_all(ids)).await?;
        }
        self.count_changed(&changes, &locked).await?;
        Ok(now_in.len())
    }

    /// Puts a backup whose record was changed into the series that it belongs to now, if it is in one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn place_again(&mut self, backup: &Backup) -> Result<(), StoreError> {
        let query = sql("SELECT created_at FROM freezer_api_backup_series WHERE backup_id = ?");
        let rows: Vec<(i64,)> = self.session.fetch_all(query.bind(&backup.id)).await?;
        let Some((created_at,)) = rows.into_iter().next() else {
            return Ok(());
        };
        let recorded = Recorded {
            backup_id: backup.id.clone(),
            created_at,
            series: SeriesKey::of(backup),
        };
        self.place_backups(&[recorded]).await.map(drop)
    }

    /// The series in which backups are.
    async fn series_of(&mut self, ids: &[String]) -> Result<HashMap<String, String>, StoreError> {
        let mut found = HashMap::new();
        for ids in in_lists(ids) {
            let list = placeholders(ids.len());
            let query = format!(
                "SELECT backup_id, series_id FROM freezer_api_backup_series WHERE backup_id IN ({list})"
            );
            let rows: Vec<(String, String)> =
                self.session.fetch_all(sql(query).bind_all(ids)).await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Makes the series that are not there yet, and locks these. One that others remove in between is made again.
    async fn make_and_lock(
        &mut self,
        backups: &[&Recorded],
        touched: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut keys: Vec<&SeriesKey> = backups.iter().map(|one| &one.series).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys.dedup_by(|a, b| a.id == b.id);
        for _ in 0..MAX_TRIES {
            for piece in pieces(&keys) {
                let insert = insertion(self.engine(), piece);
                self.session.execute(insert).await?;
            }
            let locked = self.lock_series(touched).await?;
            if keys.iter().all(|key| locked.contains_key(&key.id)) {
                return Ok(locked);
            }
        }
        Err(StoreError::BrokenOff)
    }

    /// Locks series until the transaction ends; the ids of those that are there, with how many backups they have.
    async fn lock_series(
        &mut self,
        ids: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, i64>, StoreError> {
        let ids: Vec<&String> = ids.iter().collect();
        let lock = match self.engine() {
            Engine::MySql | Engine::Postgres => " FOR UPDATE",
            Engine::Sqlite => "",
        };
        let mut locked = BTreeMap::new();
        for ids in in_lists(&ids) {
            let list = placeholders(ids.len());
            let query = format!(
                "SELECT id, backups FROM freezer_api_series WHERE id IN ({list}) ORDER BY id{lock}"
            );
            let rows: Vec<(String, i64)> = self.session.fetch_all(sql(query).bind_all(ids)).await?;
            locked.extend(rows);
        }
        Ok(locked)
    }

    /// Writes how many backups changed series have, which are locked with how many they had, and removes those without any.
    async fn count_changed(
        &mut self,
        changes: &Changes,
        locked: &BTreeMap<String, i64>,
    ) -> Result<(), StoreError> {
        let mut small = Vec::new();
        let mut large: BTreeMap<i64, Vec<&String>> = BTreeMap::new();
        for (id, change) in &changes.0 {
            match locked.get(id) {
                Some(COUNTED..) => large.entry(*change).or_default().push(id),
                _ => small.push(id),
            }
        }
        self.count_again(&small, None).await?;
        for (change, ids) in large {
            self.count_again(&ids, Some(change)).await?;
        }
        Ok(())
    }

    /// Counts the backups of locked series anew, or adds what has changed to what was counted, and removes those without any.
    async fn count_again(
        &mut self,
        ids: &[&String],
        change: Option<i64>,
    ) -> Result<(), StoreError> {
        const OF_SERIES: &str =
            "FROM freezer_api_backup_series m WHERE m.series_id = freezer_api_series.id";
        let backups = match change {
            None => format!("(SELECT COUNT(*) {OF_SERIES})"),
            Some(_) => "backups + ?".to_owned(),
        };
        for ids in in_lists(ids) {
            let list = placeholders(ids.len());
            let update = format!(
                "UPDATE freezer_api_series SET backups = {backups}, \
                 first_at = COALESCE((SELECT MIN(m.created_at) {OF_SERIES}), 0), \
                 last_at = COALESCE((SELECT MAX(m.created_at) {OF_SERIES}), 0), \
                 last_backup_id = (SELECT m.backup_id {OF_SERIES} ORDER BY m.created_at DESC, m.backup_id DESC LIMIT 1) \
                 WHERE id IN ({list})"
            );
            let update = sql(update).bind_all(change).bind_all(ids.clone());
            self.session.execute(update).await?;
            let delete =
                format!("DELETE FROM freezer_api_series WHERE backups = 0 AND id IN ({list})");
            self.session.execute(sql(delete).bind_all(ids)).await?;
        }
        Ok(())
    }

    /// Some series behind an id, in its order: those that have not as many backups as was counted, and the id of the last one that
    /// was looked at; `None` behind all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn miscounted_series(
        &mut self,
        behind: &str,
    ) -> Result<(BTreeSet<String>, Option<String>), StoreError> {
        let query = sql(format!(
            "SELECT id, backups FROM freezer_api_series WHERE id > ? ORDER BY id LIMIT {BATCH}"
        ));
        let rows: Vec<(String, i64)> = self.session.fetch_all(query.bind(behind)).await?;
        let mut sum = 0;
        let is_bounded = |(_, backups): &&(String, i64)| {
            let is_first = sum == 0;
            sum += backups;
            is_first || sum <= COUNTED_AT_ONCE
        };
        let looked_at: Vec<&(String, i64)> = rows.iter().take_while(is_bounded).collect();
        let ids: Vec<&String> = looked_at.iter().map(|(id, _)| id).collect();
        let mut miscounted = BTreeSet::new();
        for ids in in_lists(&ids) {
            let query = format!(
                "SELECT s.id FROM freezer_api_series s WHERE s.id IN ({}) AND s.backups <> \
                 (SELECT COUNT(*) FROM freezer_api_backup_series m WHERE m.series_id = s.id)",
                placeholders(ids.len())
            );
            let found: Vec<(String,)> = self.session.fetch_all(sql(query).bind_all(ids)).await?;
            miscounted.extend(found.into_iter().map(|(id,)| id));
        }
        Ok((miscounted, ids.last().map(|last| (*last).clone())))
    }

    /// Counts the backups of series anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recount_series(&mut self, ids: &BTreeSet<String>) -> Result<(), StoreError> {
        let locked = self.lock_series(ids).await?;
        let locked: Vec<&String> = locked.keys().collect();
        self.count_again(&locked, None).await
    }
}

/// By how many backups series change.
#[derive(Default)]
struct Changes(BTreeMap<String, i64>);

impl Changes {
    fn add(&mut self, series_id: &str, backups: i64) {
        *self.0.entry(series_id.to_owned()).or_default() += backups;
    }

    fn touched(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }
}

/// The row that says in which series a backup is.
fn member(one: &Recorded) -> Vec<Argument> {
    let Recorded {
        backup_id,
        created_at,
        series,
    } = one;
    vec![backup_id.into(), (&series.id).into(), (*created_at).into()]
}

fn insertion(engine: Engine, keys: &[&SeriesKey]) -> Statement {
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)"; keys.len()].join(", ");
    let mut insert = sql(format!(
        "INSERT INTO freezer_api_series ({KEY_COLUMNS}, backups, first_at, last_at) VALUES {rows}{}",
        or_stays(engine, "id")
    ));
    for key in keys {
        insert = insert
            .bind(&key.id)
            .bind(&key.project_id)
            .bind(&key.job_id)
            .bind(&key.hostname)
            .bind(&key.backup_name)
            .bind(&key.container)
            .bind(&key.storage)
            .bind(&key.resource_id);
    }
    insert
}
