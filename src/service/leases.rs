//! Work that one node among all does.

use super::Catalogue;
use crate::store::{HeldLease, StoreError, Tx};

impl Catalogue {
    /// Takes the lease of some work, or holds it for `term` seconds more; `None` where another node has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_lease(
        &self,
        name: &'static str,
        holder: String,
        term: i64,
    ) -> Result<Option<HeldLease>, StoreError> {
        let name = name.to_owned();
        self.store
            .write("holding a lease", async move |tx: &mut Tx| {
                tx.hold_lease(&name, &holder, term).await
            })
            .await
    }

    /// Notes that its holder has come to the end of the work, which begins again later.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_lease(&self, name: &'static str, holder: String) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.store
            .write("noting the end of a round", async move |tx: &mut Tx| {
                tx.finish_lease(&name, &holder).await
            })
            .await
    }

    /// When the work of a lease was done last, by whichever node, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lease_done_at(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        let name = name.to_owned();
        self.store
            .read("looking at a lease", async move |tx: &mut Tx| {
                tx.lease_done_at(&name).await
            })
            .await
    }

    /// Gives a lease back, so that another node need not wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lease(
        &self,
        name: &'static str,
        holder: String,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.store
            .write("giving a lease back", async move |tx: &mut Tx| {
                tx.release_lease(&name, &holder).await
            })
            .await
    }
}
