//! The catalogue in numbers, for monitoring.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::Catalogue;
use crate::domain::figures::{CatalogueFigures, Single};
use crate::store::{StoreError, Tx};

/// For how many seconds figures are shown.
const AGE: i64 = 15;

/// The figures of the last seconds, by when they were read. A process asks for the same ones each time.
pub(super) struct FiguresOfLate(Cache<i64, Arc<CatalogueFigures>>);

impl Default for FiguresOfLate {
    fn default() -> FiguresOfLate {
        let age = Duration::from_secs(AGE.unsigned_abs());
        FiguresOfLate(Cache::builder().max_capacity(2).time_to_live(age).build())
    }
}

impl Catalogue {
    /// All figures, those of `most` single clients at most: read once in 15 s, for all that ask. It is for the operator's monitoring,
    /// which is not asked for rights.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn figures(
        &self,
        single: Single,
        most: u32,
    ) -> Result<Arc<CatalogueFigures>, StoreError> {
        let key = self.clock.timestamp().div_euclid(AGE);
        let read = async {
            let figures = async move |tx: &mut Tx| tx.figures(single, most).await;
            let figures = self.store.read("reading figures", figures).await?;
            Ok::<_, StoreError>(Arc::new(figures))
        };
        let figures = self.figures.0.try_get_with(key, read).await;
        // Several may have waited for one failure.
        figures.map_err(|error| StoreError::Unreachable(error.to_string()))
    }
}
