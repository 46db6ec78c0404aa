//! Documents as they are stored: lists of them, and each by its id. Jobs, whose documents have other rows in them, have
//! their own.

use std::sync::Arc;

use super::Catalogue;
use super::answer::{Answer, Document, answer};
use crate::authz::Authorized;
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::{Cursor, Listed, Listing, Record, Shape, Sink, Tx};

impl Catalogue {
    /// A page of the documents that the project sees.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn list<T: Listed>(
        &self,
        caller: &Authorized,
        mut listing: Listing,
        marker: Option<String>,
    ) -> Result<Answer, ApiError> {
        let (store, scope) = (self.store.clone(), caller.scope());
        if let Some(id) = marker {
            let scope = caller.scope();
            let place = async move |tx: &mut Tx| T::place(tx, &scope, &id).await;
            listing.after = Some(known(store.read(T::COLLECTION, place).await?)?);
        }
        let (sink, started) = Sink::new(Shape::Json(T::COLLECTION), &self.memory);
        let reading = Box::pin(async move {
            let into = Arc::clone(&sink);
            let list = async move |tx: &mut Tx| tx.list::<T>(&scope, &listing, &into).await;
            store.read_list(T::COLLECTION, sink, list).await
        });
        answer(started, reading).await
    }

    /// The document of an id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub(crate) async fn get<T: Listed>(
        &self,
        caller: &Authorized,
        id: String,
    ) -> Result<Document, ApiError> {
        let scope = caller.scope();
        self.store
            .read(T::KIND, async move |tx: &mut Tx| {
                let found = T::find(tx, &scope, &id).await?;
                let row = found.ok_or_else(|| Refusal::not_found(T::KIND, &id))?;
                Ok(Document::new(row.to_json(), tx.room()))
            })
            .await
    }
}

/// The place of the document that a marker names.
///
/// # Errors
/// [`ApiError::InvalidParameter`] where there is none.
pub(super) fn known(place: Option<Cursor>) -> Result<Cursor, ApiError> {
    place.ok_or_else(|| unknown_marker("document"))
}

/// What a marker is answered that names nothing of this kind.
pub(super) fn unknown_marker(kind: &str) -> ApiError {
    ApiError::InvalidParameter(format!(
        "The \"marker\" parameter is invalid. No {kind} of the list has this id."
    ))
}

/// The document that a request changes, locked until the transaction ends.
///
/// # Errors
/// [`ApiError`]; [`Refusal::NotFound`].
pub(super) async fn lock<T: Record>(tx: &mut Tx, scope: &Scope, id: &str) -> Result<T, ApiError> {
    let found = tx.lock::<T>(scope, id).await?;
    found.ok_or_else(|| Refusal::not_found(T::KIND, id).into())
}
