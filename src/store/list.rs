//! Lists: pages cut by the database, and searches that it narrows and `domain::search` decides.
//!
//! A search looks at any depth of a document, which SQL cannot say exactly. So SQL drops rows that cannot pass, by
//! columns and by the text of the JSON, and what is left is read in batches and tested document by document until
//! the page is full. Memory is bounded by a batch, however many rows there are.

use std::panic::resume_unwind;

use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use super::members::LookUp;
use super::narrowing::Searchable;
use super::pages::{Batch, Cursor, Order, Page, Slice, Start};
use super::rows::{Conditions, Record};
use super::sink::{NextPage, SharedSink, Sink};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;
use crate::domain::resource::Resource;
use crate::domain::search::Search;

/// Rows that the first batch of a search reads, at least; each further batch is twice as large.
const FIRST_BATCH: u64 = 64;
/// Rows that a batch reads at most.
const LARGEST_BATCH: u64 = 1024;

/// A document that is larger, in bytes, is searched part by part.
const SEARCHED_AT_ONCE: usize = 64 * 1024;

/// A resource's rows as requests find them.
pub(crate) trait Listed: Record + Resource {
    /// Where the members of their documents are.
    const SEARCHABLE: Searchable;

    /// The index that has the live rows of a project in the order of lists, of tables that have so many with those columns that MySQL
    /// takes a tenth of a page's time to choose among them.
    const PROJECT_INDEX: Option<&'static str> = None;

    /// The live rows that a scope sees.
    fn visible(scope: &Scope) -> Conditions {
        Conditions::within::<Self>(scope)
    }

    /// The place of a document in lists that the scope sees, also of one that it no longer sees since it was deleted.
    fn place(
        tx: &mut Tx,
        scope: &Scope,
        id: &str,
    ) -> impl Future<Output = Result<Option<Cursor>, StoreError>> + Send {
        tx.place::<Self>(Self::visible(scope), scope, id)
    }

    /// The row that a path names, if the scope sees it.
    fn find(
        tx: &mut Tx,
        scope: &Scope,
        id: &str,
    ) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send {
        tx.find(scope, id)
    }
}

/// What a request asks of a list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// How many documents, and how many before them are passed over.
    pub page: Page,
    /// In which order.
    pub order: Order,
    /// Where the page begins, if not at the beginning of the list.
    pub after: Option<Cursor>,
    /// Which documents are looked for.
    pub search: Option<Search>,
    /// The address of the next page, where the caller wants to know it.
    pub next: Option<NextPage>,
}

/// Which of the documents that are read go into a page.
pub(super) struct Selection<'a> {
    listing: &'a Listing,
    /// The member of a document whose time the search may limit.
    time_member: Option<&'static str>,
    /// Documents that the search has found.
    found: u64,
    /// Documents of the page.
    listed: u64,
}

impl<'a> Selection<'a> {
    pub(super) fn new(listing: &'a Listing, time_member: Option<&'static str>) -> Selection<'a> {
        Selection {
            listing,
            time_member,
            found: 0,
            listed: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let page = self.listing.page;
        self.found >= page.offset.saturating_add(page.limit)
    }

    /// Passes the document of an id on, if it belongs to the page. Without a search, the database has passed over the offset.
    pub(super) async fn offer(
        &mut self,
        id: &str,
        mut document: Box<RawValue>,
        sink: &mut Sink,
    ) -> Result<(), StoreError> {
        let page = self.listing.page;
        if let Some(search) = &self.listing.search {
            // A request that has run out of time, or whose client has gone, ends here.
            tokio::task::yield_now().await;
            if self.is_full() {
                return Ok(());
            }
            if document.get().len() > SEARCHED_AT_ONCE {
                match search_large(search, document, self.time_member, sink).await? {
                    Some(found) => document = found,
                    None => return Ok(()),
                }
            } else if !search.accepts(document.get(), self.time_member) {
                return Ok(());
            }
            self.found += 1;
            if self.found <= page.offset {
                return Ok(());
            }
        }
        sink.push(&document).await?;
        self.listed += 1;
        if self.listed == page.limit
            && let Some(next) = &self.listing.next
        {
            sink.link(next.behind(id));
        }
        Ok(())
    }
}

/// The document, if the search finds it. That takes long, so it is done part by part, and not on the threads that serve requests.
async fn search_large(
    search: &Search,
    mut document: Box<RawValue>,
    time_member: Option<&'static str>,
    sink: &mut Sink,
) -> Result<Option<Box<RawValue>>, StoreError> {
    for part in search.parts() {
        sink.next_turn().await;
        let searching = spawn_blocking(move || {
            let is_found = part.accepts(document.get(), time_member);
            is_found.then_some(document)
        });
        match searching.await {
            Ok(Some(found)) => document = found,
            Ok(None) => return Ok(None),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The program ends.
                Err(_) => return Err(StoreError::BrokenOff),
            },
        }
    }
    Ok(Some(document))
}

/// Reads the rows that meet the conditions, batch by batch, in the order of the list.
pub(super) struct Batches {
    conditions: Conditions,
    look_up: Option<LookUp>,
    index: Option<&'static str>,
    order: Order,
    start: Start,
    /// Whether a batch was read.
    has_begun: bool,
    /// The next batch.
    next: Page,
    /// Rows that are wanted in all.
    left: u64,
}

impl Batches {
    /// The rows of a page. Among those of a search the first batch is as large as the page may need when every row is a hit, which
    /// it is where SQL says all (`is_covered`); connections keep the statements of schedulers' polls prepared, but those
    /// of longer searches have too many forms.
    pub(super) fn new(conditions: Conditions, listing: &Listing, is_covered: bool) -> Batches {
        let page = listing.page;
        let least = if is_covered { 1 } else { FIRST_BATCH };
        let searched = Page {
            limit: page
                .limit
                .saturating_add(page.offset)
                .clamp(least, LARGEST_BATCH),
            offset: 0,
        };
        let is_long = listing.search.as_ref().is_some_and(Search::is_long);
        let is_search = listing.search.is_some();
        Batches {
            conditions: if is_long {
                conditions.not_kept()
            } else {
                conditions
            },
            look_up: None,
            index: None,
            order: listing.order,
            start: listing
                .after
                .clone()
                .map_or(Start::Beginning, Start::Behind),
            has_begun: false,
            next: if is_search { searched } else { page },
            left: if is_search { u64::MAX } else { page.limit },
        }
    }

    /// Finds the rows by an index.
    fn looked_up(self, look_up: Option<LookUp>) -> Batches {
        Batches { look_up, ..self }
    }

    /// Tells MySQL the index of their order, for lists in which there is nothing else to find them by.
    fn in_order_of(self, index: Option<&'static str>) -> Batches {
        Batches { index, ..self }
    }

    /// Begins with fewer rows where more are known to be too many bytes.
    pub(super) fn starting_with(mut self, rows: u64) -> Batches {
        self.next.limit = self.next.limit.min(rows);
        self
    }

    /// What the next batch has; `None` when there are no more rows.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] for any but the first one outside of a snapshot: one statement alone sees one moment.
    pub(super) fn next_slice(
        &mut self,
        tx: &Tx,
        sink: &mut Sink,
    ) -> Result<Option<Slice>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.has_begun && !tx.session.in_snapshot() {
            sink.expect_rows(self.next.limit);
            return Err(StoreError::NeedsSnapshot);
        }
        if self.has_begun {
            // It takes long, so it goes by turns.
            sink.become_large()?;
        }
        self.has_begun = true;
        // An offset counts the rows without a time too.
        self.start = match std::mem::replace(&mut self.start, Start::Beginning) {
            Start::Behind(cursor)
                if cursor.is_timed()
                    && self.order == Order::NewestFirst
                    && self.next.offset == 0 =>
            {
                Start::TimedBehind(cursor)
            }
            start => start,
        };
        Ok(Some(Slice {
            conditions: self.conditions.clone(),
            look_up: self.look_up.clone(),
            index: self.index,
            order: self.order,
            start: self.start.clone(),
            page: self.next,
        }))
    }

    /// The rows of the batch that was read; what is next comes behind them.
    pub(super) fn advance<T>(&mut self, batch: Batch<T>) -> Vec<T> {
        let rows = batch.rows.len() as u64;
        let is_end = !batch.is_cut && rows < self.next.limit;
        let leaves_untimed = matches!(self.start, Start::TimedBehind(_));
        self.left = if is_end && !leaves_untimed {
            0
        } else {
            self.left.saturating_sub(rows)
        };
        self.next = Page {
            limit: (self.next.limit.saturating_mul(2))
                .min(batch.rows_that_fit())
                .min(LARGEST_BATCH)
                .min(self.left),
            offset: 0,
        };
        self.start = match batch.last {
            _ if is_end => Start::Untimed,
            Some(last) => Start::Behind(last),
            None => Start::Beginning,
        };
        batch.rows
    }
}

impl Tx {
    /// Lists one page of the rows that the scope sees, and that the search finds where there is one.
    pub(crate) async fn list<T: Listed>(
        &mut self,
        scope: &Scope,
        listing: &Listing,
        sink: &SharedSink,
    ) -> Result<(), StoreError> {
        let mut sink = sink.lock().await;
        sink.begin(self.session.in_snapshot(), &mut self.share)?;
        let listed = self.write_list::<T>(scope, listing, &mut sink).await;
        listed.map_err(|error| sink.failed(error))
    }

    async fn write_list<T: Listed>(
        &mut self,
        scope: &Scope,
        listing: &Listing,
        sink: &mut Sink,
    ) -> Result<(), StoreError> {
        let conditions = T::visible(scope);
        let conditions = match &listing.search {
            None => conditions,
            Some(search) => T::SEARCHABLE.narrow(self.engine(), conditions, search),
        };
        let search = listing.search.as_ref();
        let is_covered = search.is_some_and(|search| T::SEARCHABLE.covers(self.engine(), search));
        let look_up = search.and_then(|search| T::SEARCHABLE.look_up(self.engine(), search));
        let index = match (self.engine(), scope, search) {
            (Engine::MySql, Scope::Project(_), None) => T::PROJECT_INDEX,
            _ => None,
        };
        let mut batches = Batches::new(conditions, listing, is_covered)
            .looked_up(look_up)
            .in_order_of(index)
            .starting_with(sink.first_rows());
        let mut selection = Selection::new(listing, T::TIME_MEMBER);
        while !selection.is_full()
            && let Some(slice) = batches.next_slice(self, sink)?
        {
            let batch = self.select_slice::<T>(slice, sink).await?;
            for row in batches.advance(batch) {
                selection.offer(row.id(), row.to_list_item(), sink).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::jobs::JOBS;
    use super::super::narrowing::SCHEDULE;
    use super::super::tables;
    use super::*;
    use crate::domain::action::Action;
    use crate::domain::backup::Backup;
    use crate::domain::client::Client;
    use crate::domain::job::Job;
    use crate::domain::resource::raw;
    use crate::domain::session::Session;
    use crate::domain::validation;

    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    found.insert(key.clone());
                    keys(value, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }

    /// Every member of a document must stand in the catalogue, or the search would not find it; and the other way round.
    #[track_caller]
    fn shows_what_the_catalogue_says(searchable: &Searchable, document: &RawValue) {
        let columns = searchable.table.columns.iter();
        let placed = columns
            .filter_map(|column| column.member)
            .chain(searchable.composed.iter().copied())
            .chain(searchable.joined.iter().map(|(name, _)| *name));
        let placed: BTreeSet<String> = placed.map(str::to_owned).collect();
        let mut shown = BTreeSet::new();
        keys(&serde_json::from_str(document.get()).unwrap(), &mut shown);
        assert_eq!(shown, placed, "{}", searchable.table.name);
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn documents_have_the_members_of_the_catalogue() {
        let client = Client::default();
        shows_what_the_catalogue_says(&Client::SEARCHABLE, &client.to_list_item());
        let action = Action::default();
        shows_what_the_catalogue_says(&Action::SEARCHABLE, &action.to_list_item());
        let backup = Backup {
            backup_metadata: some("{}"),
            ..Backup::default()
        };
        shows_what_the_catalogue_says(&Backup::SEARCHABLE, &backup.to_list_item());
        let session = Session {
            schedule: some("{}"),
            job: some("{}"),
            ..Session::default()
        };
        shows_what_the_catalogue_says(&Session::SEARCHABLE, &session.to_list_item());
        let job = Job {
            schedule: some("{}"),
            trust_id: some("t"),
            trustor_user_id: some("u"),
            ..Job::default()
        };
        shows_what_the_catalogue_says(&JOBS, &raw(&job.document(&[])));
    }

    /// The trust's columns stand in a table of their own.
    #[test]
    fn trusts_are_shown_in_jobs() {
        let columns = tables::USER_CREDENTIALS.columns.iter();
        let shown: Vec<&str> = columns.filter_map(|column| column.member).collect();
        let joined: Vec<&str> = JOBS.joined.iter().map(|(name, _)| *name).collect();
        assert_eq!(shown, joined);
    }

    /// How many rows the first batch of a search for jobs has.
    fn first_rows(search: Value, limit: u64) -> u64 {
        let search = Search::parse(search.as_object().unwrap(), 50).unwrap();
        let is_covered = JOBS.covers(Engine::MySql, search.as_ref().unwrap());
        let listing = Listing {
            page: Page { limit, offset: 0 },
            order: Order::OldestFirst,
            after: None,
            search,
            next: None,
        };
        Batches::new(Conditions::live::<Job>(), &listing, is_covered)
            .next
            .limit
    }

    #[test]
    fn a_poll_reads_its_page() {
        let poll = json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]});
        assert_eq!(first_rows(poll.clone(), 1), 1);
        assert_eq!(first_rows(poll, 512), 512);
        for search in [
            json!({"match": [{"session_tag": 1}]}),
            json!({"match": [{"client_id": "é"}]}),
            json!({"match": [{"_all": "c"}]}),
            json!({"match_not": [{"client_id": "c"}]}),
        ] {
            assert_eq!(first_rows(search, 1), FIRST_BATCH);
        }
    }

    #[test]
    fn schedules_have_the_members_that_bodies_may_have() {
        let schema = validation::schedule();
        let members = schema["properties"].as_object().unwrap().keys();
        assert!(members.eq(SCHEDULE));
    }
}
