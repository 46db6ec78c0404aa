//! Documents as they are stored: lists of them, and each by its id. Jobs, whose documents have other rows in them, have
//! their own.

use serde_json::value::RawValue;

use super::Catalogue;
use crate::authz::Authorized;
use crate::domain::Refusal;
use crate::domain::search::Search;
use crate::error::ApiError;
use crate::store::{Listed, Page, Tx};

impl Catalogue {
    /// A page of the documents that the project sees.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn list<T: Listed>(
        &self,
        caller: &Authorized,
        page: Page,
        search: Option<Search>,
    ) -> Result<Vec<Box<RawValue>>, ApiError> {
        let scope = caller.scope();
        self.store
            .read(T::COLLECTION, async move |tx: &mut Tx| {
                Ok(tx.list::<T>(&scope, page, search.as_ref()).await?)
            })
            .await
    }

    /// The document of an id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub(crate) async fn get<T: Listed>(
        &self,
        caller: &Authorized,
        id: String,
    ) -> Result<Box<RawValue>, ApiError> {
        let scope = caller.scope();
        self.store
            .read(T::KIND, async move |tx: &mut Tx| {
                T::find(tx, &scope, &id)
                    .await?
                    .map(|row| row.to_json())
                    .ok_or_else(|| Refusal::not_found(T::KIND, &id).into())
            })
            .await
    }
}
