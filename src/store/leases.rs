//! Work that one node among all does: who holds the lease of its name does it.

use super::statement::sql;
use super::upsert::or_stays;
use super::{StoreError, Tx};

/// For how many seconds nobody may have held a lease without a gap in what its holders have seen.
const GAP: i64 = 60;
/// How far ahead a lease may be held, in seconds: terms are shorter, and clocks of nodes are closer. What is held longer is so by a clock
/// that was wrong, and is free.
const FAR_AHEAD: i64 = 300;

/// A lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// From when on it was held without a gap, by whichever node, in seconds since 1970.
    pub since: i64,
}

impl Tx {
    /// Takes a lease that nobody else holds, or holds it for longer: for `term` seconds from now on. `None` where another node has it.
    ///
    /// The clocks of the nodes need not agree to the second: who comes too early only does what was done already. A node whose clock
    /// is years ahead keeps nobody out when it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_lease(
        &mut self,
        name: &str,
        holder: &str,
        term: i64,
    ) -> Result<Option<Lease>, StoreError> {
        let now = self.now().unix_timestamp();
        // MySQL's assignments see what those before them did, so the time that is compared is set last.
        let update = sql(
            "UPDATE freezer_api_leases SET since = CASE WHEN held_until < ? OR since > ? THEN ? ELSE since END, holder = ?, held_until = ? \
             WHERE name = ? AND (holder = ? OR held_until < ? OR held_until > ?)",
        )
        .bind(now.saturating_sub(GAP))
        .bind(now)
        .bind(now)
        .bind(holder)
        .bind(now.saturating_add(term))
        .bind(name)
        .bind(holder)
        .bind(now)
        .bind(now.saturating_add(FAR_AHEAD));
        if self.session.execute(update).await? == 0 {
            self.make_lease(name, holder, now, term).await?;
        }
        let query = sql("SELECT holder, since FROM freezer_api_leases WHERE name = ?").bind(name);
        let rows: Vec<(String, i64)> = self.session.fetch_all(query).await?;
        let held = rows.into_iter().find(|(held_by, _)| held_by == holder);
        Ok(held.map(|(_, since)| Lease { since }))
    }

    /// Makes the row of a lease, where there is none.
    async fn make_lease(
        &mut self,
        name: &str,
        holder: &str,
        now: i64,
        term: i64,
    ) -> Result<(), StoreError> {
        let stays = or_stays(self.engine(), "name");
        let insert = format!(
            "INSERT INTO freezer_api_leases (name, holder, since, held_until) VALUES (?, ?, ?, ?){stays}"
        );
        let insert = sql(insert)
            .bind(name)
            .bind(holder)
            .bind(now)
            .bind(now.saturating_add(term));
        self.session.execute(insert).await.map(drop)
    }

    /// Notes that its holder has come to the end of the work, which begins again later.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_lease(&mut self, name: &str, holder: &str) -> Result<(), StoreError> {
        let now = self.now().unix_timestamp();
        let update = sql("UPDATE freezer_api_leases SET done_at = ? WHERE name = ? AND holder = ?")
            .bind(now)
            .bind(name)
            .bind(holder);
        self.session.execute(update).await.map(drop)
    }

    /// When the work of a lease was done last, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lease_done_at(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let query = sql("SELECT done_at FROM freezer_api_leases WHERE name = ?").bind(name);
        let rows: Vec<(Option<i64>,)> = self.session.fetch_all(query).await?;
        Ok(rows.into_iter().find_map(|(done_at,)| done_at))
    }

    /// From when on a lease has been held without a gap, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lease_since(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let query = sql("SELECT since FROM freezer_api_leases WHERE name = ?").bind(name);
        let rows: Vec<(i64,)> = self.session.fetch_all(query).await?;
        Ok(rows.into_iter().next().map(|(since,)| since))
    }

    /// Gives a lease back before its time, so that another node need not wait for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lease(&mut self, name: &str, holder: &str) -> Result<(), StoreError> {
        let now = self.now().unix_timestamp();
        let update =
            sql("UPDATE freezer_api_leases SET held_until = ? WHERE name = ? AND holder = ?")
                .bind(now.saturating_sub(1))
                .bind(name)
                .bind(holder);
        self.session.execute(update).await.map(drop)
    }
}
