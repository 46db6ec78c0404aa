//! The catalogue in numbers, for monitoring.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::Catalogue;
use crate::domain::figures::{CatalogueFigures, SeriesFigures, Single};
use crate::store::{StoreError, Tx};

/// For how many seconds figures are shown.
const AGE: i64 = 15;
/// The same of series, of which there are many.
const AGE_OF_SERIES: i64 = 300;

/// The figures of the last seconds, by when they were read. A process asks for the same ones each time.
pub(super) struct FiguresOfLate {
    all: Cache<i64, Arc<CatalogueFigures>>,
    series: Cache<i64, Vec<SeriesFigures>>,
}

impl Default for FiguresOfLate {
    fn default() -> FiguresOfLate {
        let age = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        FiguresOfLate {
            all: Cache::builder()
                .max_capacity(2)
                .time_to_live(age(AGE))
                .build(),
            series: Cache::builder()
                .max_capacity(2)
                .time_to_live(age(AGE_OF_SERIES))
                .build(),
        }
    }
}

/// Several may have waited for one failure.
fn failed(error: Arc<StoreError>) -> StoreError {
    StoreError::Unreachable(error.to_string())
}

impl Catalogue {
    /// All figures, those of `most` single clients at most: read once in 15 s, and those of series once in five minutes, for all that
    /// ask. It is for the operator's monitoring, which is not asked for rights.
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
            let mut figures = self.store.read("reading figures", figures).await?;
            figures.series = self.figures_of_series().await?;
            Ok::<_, StoreError>(Arc::new(figures))
        };
        let figures = self.figures.all.try_get_with(key, read).await;
        figures.map_err(failed)
    }

    async fn figures_of_series(&self) -> Result<Vec<SeriesFigures>, StoreError> {
        let key = self.clock.timestamp().div_euclid(AGE_OF_SERIES);
        let figures = async move |tx: &mut Tx| tx.series_figures().await;
        let read = self.store.read("counting series", figures);
        let figures = self.figures.series.try_get_with(key, read).await;
        figures.map_err(failed)
    }
}
