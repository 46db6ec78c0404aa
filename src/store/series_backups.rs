//! The backups of a series as lists show them.

use std::collections::HashMap;

use super::rows::{Conditions, Measured, Record, measured_columns};
use super::sink::{SharedSink, Sink};
use super::statement::{in_lists, placeholders, sql};
use super::{StoreError, Tx};
use crate::domain::backup::Backup;
use crate::domain::series::{MemberQuery, backup_report};

/// Texts of this size, in bytes, are read for a whole page at once.
const SHORT: usize = 4096;

impl Tx {
    /// The backups of a series, the last first or last: each with the time when it was recorded, in seconds since 1970. As many as
    /// the limit and one more where there are more, without those that were deleted this moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members_of_series(
        &mut self,
        series_id: &str,
        query: &MemberQuery,
    ) -> Result<Option<Vec<(String, i64)>>, StoreError> {
        let MemberQuery {
            newest_first,
            limit,
            marker,
        } = query;
        let mut query =
            sql("SELECT backup_id, created_at FROM freezer_api_backup_series WHERE series_id = ?")
                .bind(series_id);
        let (direction, comparison) = if *newest_first {
            (" DESC", "<")
        } else {
            ("", ">")
        };
        if let Some(marker) = marker {
            let place = sql(
                "SELECT backup_id, created_at FROM freezer_api_backup_series WHERE backup_id = ? AND series_id = ?",
            );
            let place = place.bind(marker).bind(series_id);
            let rows: Vec<(String, i64)> = self.session.fetch_all(place).await?;
            let Some((id, created_at)) = rows.into_iter().find(|(id, _)| id == marker) else {
                return Ok(None);
            };
            let behind = format!(
                " AND created_at {comparison}= ? AND (created_at {comparison} ? OR backup_id {comparison} ?)"
            );
            query = query
                .push(&behind)
                .bind(created_at)
                .bind(created_at)
                .bind(id);
        }
        let end = format!(
            " ORDER BY created_at{direction}, backup_id{direction} LIMIT {}",
            limit.saturating_add(1)
        );
        let members = self.session.fetch_all(query.push(&end).not_kept()).await?;
        Ok(Some(members))
    }

    /// Writes the backups of these ids that are live, in this order, each with the time when it was recorded; `next` is the address of
    /// the page that follows.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where some are large, and there is none.
    pub async fn list_members(
        &mut self,
        members: &[(String, i64)],
        next: Option<String>,
        sink: &SharedSink,
    ) -> Result<(), StoreError> {
        let mut sink = sink.lock().await;
        sink.begin(self.session.in_snapshot(), &mut self.share)?;
        if let Some(next) = next {
            sink.link(next);
        }
        let written = self.write_members(members, &mut sink).await;
        written.map_err(|error| sink.failed(error))
    }

    async fn write_members(
        &mut self,
        members: &[(String, i64)],
        sink: &mut Sink,
    ) -> Result<(), StoreError> {
        let mut found = self.short_backups(members).await?;
        let mut rest = members;
        while let Some(((first, _), others)) = rest.split_first() {
            let left_out = |id: &String| found.get(id).map_or(0, |backup| backup.left_out);
            let mut bytes = left_out(first);
            sink.expect_document(bytes).await?;
            sink.next_turn().await;
            let most = sink.batch();
            let has_room = |(id, _): &&(String, i64)| {
                bytes += left_out(id);
                bytes <= most
            };
            let more = others.iter().take_while(has_room).count();
            let (batch, after) = rest.split_at(1 + more);
            self.complete(batch, &mut found).await?;
            for (id, created_at) in batch {
                if let Some(Measured { row, .. }) = found.remove(id) {
                    sink.push(&backup_report(&row, *created_at)).await?;
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// The live backups of these ids, without texts that are not short.
    async fn short_backups(
        &mut self,
        members: &[(String, i64)],
    ) -> Result<HashMap<String, Measured<Backup>>, StoreError> {
        let ids: Vec<&String> = members.iter().map(|(id, _)| id).collect();
        let columns = measured_columns::<Backup>("", SHORT);
        let mut found = HashMap::new();
        for ids in in_lists(&ids) {
            let list = format!("b.id IN ({})", placeholders(ids.len()));
            let conditions = Conditions::live::<Backup>().and(&list, ids);
            let add = |backup: Measured<Backup>| {
                found.insert(backup.row.id.clone(), backup);
            };
            let query = conditions.select::<Backup>(&columns);
            self.session.fetch_each(query, add).await?;
        }
        Ok(found)
    }

    /// Reads the texts that some of these backups are without.
    async fn complete(
        &mut self,
        batch: &[(String, i64)],
        found: &mut HashMap<String, Measured<Backup>>,
    ) -> Result<(), StoreError> {
        let is_large = |id: &&String| found.get(*id).is_some_and(|backup| backup.left_out > 0);
        let large: Vec<&String> = batch.iter().map(|(id, _)| id).filter(is_large).collect();
        if large.is_empty() {
            return Ok(());
        }
        if !self.session.in_snapshot() {
            return Err(StoreError::NeedsSnapshot);
        }
        for ids in in_lists(&large) {
            let list = format!("b.id IN ({})", placeholders(ids.len()));
            let conditions = Conditions::live::<Backup>().and(&list, ids);
            let query = conditions.select::<Backup>(Backup::COLUMNS);
            let rows: Vec<Backup> = self.session.fetch_all(query).await?;
            for row in rows {
                let left_out = 0;
                found.insert(row.id.clone(), Measured { row, left_out });
            }
        }
        Ok(())
    }
}
