//! `import elasticsearch --verify`: reads every document once more and compares it with what `GET` shows for it. Writes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::comparison::{Comparison, KeptMembers};
use super::document::{Document, Kind, Recognized, recognize};
use super::plan::{Item, Plan, Planner, Rows};
use super::survey::Survey;
use super::writer::{
    CLIENT_ID, FOREIGN_TYPE, MEMBERS, WHOLE_DOCUMENT, leftover_id, leftover_table,
};
use super::{Batches, ElasticsearchImportError, schemas};
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::backup::Backup;
use crate::domain::client::Client;
use crate::domain::document::{Object, stored_object, text};
use crate::domain::job::{Job, PidViewer};
use crate::domain::resource::Resource;
use crate::domain::session::Session;
use crate::elasticsearch::{Hit, Source};
use crate::schema::{Progress, ProgressCallback};
use crate::store::statement::{in_lists, placeholders, sql};
use crate::store::{Record, Store, StoreError, Tx};

/// How many differences are kept; the others are counted.
const MAX_DIFFERENCES: usize = 500;

/// What was found of the documents of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// The API shows them as they were.
    pub same: u64,
    /// They are further registrations of a client that the API shows, and are among the leftovers.
    pub merged: u64,
    /// They cannot be rows, and are among the leftovers.
    pub left: u64,
    /// They were deleted through the API since.
    pub deleted: u64,
    /// The API shows something else, or nothing.
    pub differing: u64,
}

impl Checked {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.same + self.merged + self.left + self.deleted + self.differing
    }
}

/// A document that is not shown as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Index, type and id.
    pub path: String,
    /// The members that differ, or that there is nothing. Values may be secrets, and are not told.
    pub what: String,
}

/// What a comparison of all documents found.
#[derive(Debug, Default)]
pub struct Verification {
    /// By kind.
    pub checked: BTreeMap<Kind, Checked>,
    /// Documents that are not freezer's, and are among the leftovers.
    pub foreign: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub differing: u64,
}

impl Verification {
    /// What was found of the documents of a kind.
    pub fn checked(&self, kind: Kind) -> Checked {
        self.checked.get(&kind).copied().unwrap_or_default()
    }

    fn count(&mut self, kind: Kind, hit: &Hit, verdict: Verdict) {
        let checked = self.checked.entry(kind).or_default();
        match verdict {
            Verdict::Same => checked.same += 1,
            Verdict::Merged => checked.merged += 1,
            Verdict::Left => checked.left += 1,
            Verdict::Deleted => checked.deleted += 1,
            Verdict::Differs(what) => {
                checked.differing += 1;
                self.differs(hit, what);
            }
        }
    }

    fn differs(&mut self, hit: &Hit, what: String) {
        self.differing += 1;
        if self.differences.len() < MAX_DIFFERENCES {
            let path = hit.path();
            self.differences.push(Difference { path, what });
        }
    }
}

/// What is found of a document.
enum Verdict {
    Same,
    Merged,
    Left,
    Deleted,
    Differs(String),
}

/// Documents among the leftovers by what they are called there.
type Whole = HashMap<String, Option<String>>;

/// What the database has for a batch.
#[derive(Default)]
struct Seen {
    /// What the API shows, by id.
    shown: HashMap<String, Object>,
    /// The clients that the API shows, by project and name.
    clients: HashMap<(String, String), Client>,
    /// The ids that were deleted.
    deleted: HashSet<String>,
    kept: KeptMembers,
    kept_of_actions: KeptMembers,
    /// The documents that are kept whole; without a text where it is too long for the column.
    whole: Whole,
}

impl Store {
    /// Compares every document with what the API shows for it. What is merged or left has to be among the leftovers.
    ///
    /// # Errors
    /// [`ElasticsearchImportError`].
    pub async fn verify_elasticsearch(
        &self,
        source: &Source,
        survey: &mut Survey,
        progress: ProgressCallback<'_>,
    ) -> Result<Verification, ElasticsearchImportError> {
        let mut planner = Planner::new(schemas()?, self.clock.now());
        let mut verification = Verification::default();
        for kind in Kind::ALL {
            let mut batches = Batches::new(source, survey, kind)?;
            loop {
                let hits = batches.next().await?;
                if hits.is_empty() {
                    break;
                }
                let planned = hits
                    .into_iter()
                    .filter_map(|hit| planner.plan(kind, hit, survey));
                let items: Vec<Item> = planned.collect();
                let seen = self
                    .read("comparing documents", async |tx: &mut Tx| {
                        see(tx, kind, &items).await
                    })
                    .await?;
                for item in items {
                    let verdict = judge(kind, &item, survey, &seen);
                    verification.count(kind, &item.hit, verdict);
                }
                progress(Progress::Rows {
                    what: kind.name(),
                    done: verification.checked(kind).sum(),
                    total: survey.found().read(kind),
                });
            }
        }
        self.verify_foreign(survey, &mut verification).await?;
        Ok(verification)
    }

    /// What is not freezer's has to be among the leftovers.
    async fn verify_foreign(
        &self,
        survey: &mut Survey,
        verification: &mut Verification,
    ) -> Result<(), ElasticsearchImportError> {
        let mut aside = survey.foreign()?;
        while let Some(hit) = aside.next()? {
            let table = leftover_table(hit.doc_type.as_deref().unwrap_or(FOREIGN_TYPE));
            let whole = self
                .read("comparing documents", async |tx: &mut Tx| {
                    whole(tx, &table, &[leftover_id(&hit)]).await
                })
                .await?;
            if is_kept(&hit, &whole) {
                verification.foreign += 1;
            } else {
                verification.differs(&hit, "it is not among the leftovers".to_owned());
            }
        }
        Ok(())
    }
}

/// Reads what the database has for a batch.
async fn see(tx: &mut Tx, kind: Kind, items: &[Item]) -> Result<Seen, StoreError> {
    let planned: Vec<&Rows> = items
        .iter()
        .filter_map(|item| match &item.plan {
            Plan::Write(rows) => Some(&**rows),
            Plan::Merge { .. } | Plan::Leave(_) => None,
        })
        .collect();
    let mut ids: Vec<String> = planned.iter().map(|rows| rows.main.id.clone()).collect();
    let mut seen = Seen::default();
    match kind {
        Kind::Clients => {
            see_clients(tx, items, &mut seen).await?;
            ids.extend(seen.clients.values().map(|client| client.uuid.clone()));
        }
        Kind::Actions => {
            see_rows(tx, &ids, &mut seen, |row: &Action| {
                parsed(&row.to_list_item())
            })
            .await?
        }
        Kind::Sessions => {
            see_rows(tx, &ids, &mut seen, |row: &Session| parsed(&row.to_json())).await?
        }
        Kind::Backups => see_rows(tx, &ids, &mut seen, backup).await?,
        Kind::Jobs => see_jobs(tx, &ids, &mut seen).await?,
    }
    seen.kept = kept(tx, kind.name(), &ids).await?;
    let paths: Vec<String> = items.iter().map(|item| leftover_id(&item.hit)).collect();
    seen.whole = whole(tx, kind.name(), &paths).await?;
    Ok(seen)
}

/// The document of a backup, and the id of a job that only its column has.
fn backup(row: &Backup) -> Object {
    let mut shown = parsed(&row.to_json());
    let metadata = shown
        .get("backup_metadata")
        .and_then(|metadata| metadata.as_object());
    if metadata.is_none_or(|metadata| !metadata.contains_key("job_id")) {
        shown.extend(
            row.job_id
                .clone()
                .map(|id| ("job_id".to_owned(), id.into())),
        );
    }
    shown
}

/// The rows of a table by the code that answers requests.
async fn see_rows<T: Record>(
    tx: &mut Tx,
    ids: &[String],
    seen: &mut Seen,
    document: impl Fn(&T) -> Object,
) -> Result<(), StoreError> {
    let wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    for row in tx.live_rows::<T>(&wanted).await? {
        seen.shown.insert(row.id().to_owned(), document(&row));
    }
    see_deleted::<T>(tx, ids, seen).await
}

async fn see_deleted<T: Record>(
    tx: &mut Tx,
    ids: &[String],
    seen: &mut Seen,
) -> Result<(), StoreError> {
    for id in ids {
        if !seen.shown.contains_key(id) && tx.id_unavailable::<T>(&Scope::All, id).await? {
            seen.deleted.insert(id.clone());
        }
    }
    Ok(())
}

async fn see_jobs(tx: &mut Tx, ids: &[String], seen: &mut Seen) -> Result<(), StoreError> {
    let mut actions = Vec::new();
    for id in ids {
        let shown = tx
            .get_job_document(&Scope::All, id, &PidViewer::Operator)
            .await?;
        let Some(shown) = shown.map(|shown| parsed(&shown)) else {
            continue;
        };
        let entries = shown
            .get("job_actions")
            .and_then(|entries| entries.as_array());
        let entries = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.as_object());
        actions.extend(
            entries
                .filter_map(|entry| text(entry, "action_id"))
                .map(str::to_owned),
        );
        seen.shown.insert(id.clone(), shown);
    }
    seen.kept_of_actions = kept(tx, Kind::Actions.name(), &actions).await?;
    see_deleted::<Job>(tx, ids, seen).await
}

/// Clients are known by their names.
async fn see_clients(tx: &mut Tx, items: &[Item], seen: &mut Seen) -> Result<(), StoreError> {
    for item in items {
        let Some(key) = client_key(&item.plan) else {
            continue;
        };
        let found = tx
            .get_client(&Scope::Project(key.0.clone()), &key.1)
            .await?;
        if let Some(client) = found {
            seen.shown
                .insert(client.uuid.clone(), parsed(&client.to_json()));
            seen.clients.insert(key, client);
        }
    }
    let ids: Vec<String> = items
        .iter()
        .filter_map(|item| match &item.plan {
            Plan::Write(rows) => Some(rows.main.id.clone()),
            Plan::Merge { .. } | Plan::Leave(_) => None,
        })
        .collect();
    see_deleted::<Client>(tx, &ids, seen).await
}

/// Project and name of a client.
fn client_key(plan: &Plan) -> Option<(String, String)> {
    match plan {
        Plan::Merge {
            project_id,
            client_id,
        } => Some((project_id.clone(), client_id.clone())),
        Plan::Write(rows) => Some((
            rows.main.value("project_id")?.to_owned(),
            rows.main.value("client_id")?.to_owned(),
        )),
        Plan::Leave(_) => None,
    }
}

/// What is kept beside rows.
async fn kept(tx: &mut Tx, table: &str, ids: &[String]) -> Result<KeptMembers, StoreError> {
    let mut kept = KeptMembers::new();
    for ids in in_lists(ids) {
        let query = format!(
            "SELECT row_id, value FROM freezer_api_leftovers WHERE table_name = ? AND column_name = ? AND row_id IN ({})",
            placeholders(ids.len())
        );
        let query = sql(query).bind(table).bind(MEMBERS).bind_all(ids);
        let rows: Vec<(String, Option<String>)> = tx.session.fetch_all(query).await?;
        kept.extend(
            rows.into_iter()
                .map(|(id, members)| (id, stored_object(members.as_deref()))),
        );
    }
    Ok(kept)
}

/// Which documents are kept whole.
async fn whole(tx: &mut Tx, table: &str, ids: &[String]) -> Result<Whole, StoreError> {
    let mut whole = Whole::new();
    for ids in in_lists(ids) {
        let query = format!(
            "SELECT row_id, value FROM freezer_api_leftovers WHERE table_name = ? AND column_name = ? AND row_id IN ({})",
            placeholders(ids.len())
        );
        let query = sql(query).bind(table).bind(WHOLE_DOCUMENT).bind_all(ids);
        let rows: Vec<(String, Option<String>)> = tx.session.fetch_all(query).await?;
        whole.extend(rows);
    }
    Ok(whole)
}

/// Says what is found of one document.
fn judge(kind: Kind, item: &Item, survey: &Survey, seen: &Seen) -> Verdict {
    let rows = match &item.plan {
        Plan::Leave(_) => return kept_as(Verdict::Left, "it is no row", item, seen),
        Plan::Merge { .. } => {
            return match registered(item, seen) {
                Some(_) => kept_as(Verdict::Merged, "it is another registration", item, seen),
                None => Verdict::Differs("its client is not shown".to_owned()),
            };
        }
        Plan::Write(rows) => rows,
    };
    let Recognized::Document(document) = recognize(item.hit.clone()) else {
        return kept_as(Verdict::Left, "it cannot be read", item, seen);
    };
    let id = match (kind, registered(item, seen)) {
        (Kind::Clients, Some(client)) if is_row(client, &rows.main.id, seen) => &client.uuid,
        (Kind::Clients, Some(client)) => {
            let project = rows.main.value("project_id");
            let is_own = project.is_some_and(|project| client.belongs_to(project));
            let verdict = if is_own {
                Verdict::Merged
            } else {
                Verdict::Left
            };
            return kept_as(verdict, "another client has its name", item, seen);
        }
        _ => &rows.main.id,
    };
    match seen.shown.get(id) {
        Some(shown) => compare(&document, id, survey, shown, seen),
        None if seen.deleted.contains(id) => Verdict::Deleted,
        None => kept_as(Verdict::Left, "it is not there", item, seen),
    }
}

/// The client that has the document's name.
fn registered<'a>(item: &Item, seen: &'a Seen) -> Option<&'a Client> {
    seen.clients.get(&client_key(&item.plan)?)
}

/// Whether a client is the row of a document, which may have got another id.
fn is_row(client: &Client, id: &str, seen: &Seen) -> bool {
    let kept = seen.kept.get(&client.uuid);
    client.uuid == id || kept.is_some_and(|kept| text(kept, CLIENT_ID) == Some(id))
}

/// What is found of a document that has no row of its own: it has to be kept whole.
fn kept_as(verdict: Verdict, what: &str, item: &Item, seen: &Seen) -> Verdict {
    if is_kept(&item.hit, &seen.whole) {
        verdict
    } else {
        Verdict::Differs(format!("{what}, and is not among the leftovers"))
    }
}

fn compare(document: &Document, id: &str, survey: &Survey, shown: &Object, seen: &Seen) -> Verdict {
    let nothing = Object::new();
    let comparison = Comparison {
        document,
        id,
        project_id: survey.project(document).unwrap_or_default(),
        shown,
        kept: seen.kept.get(id).unwrap_or(&nothing),
        kept_of_actions: &seen.kept_of_actions,
    };
    match comparison.differences() {
        differing if differing.is_empty() => Verdict::Same,
        differing => Verdict::Differs(differing.join(", ")),
    }
}

/// Whether a document is kept whole as it is.
fn is_kept(hit: &Hit, whole: &Whole) -> bool {
    let value = |source: &RawValue| serde_json::from_str::<Value>(source.get()).ok();
    match whole.get(&leftover_id(hit)) {
        None => false,
        Some(None) => true,
        Some(Some(text)) => serde_json::from_str::<Hit>(text).is_ok_and(|kept| {
            kept.source.get() == hit.source.get() || value(&kept.source) == value(&hit.source)
        }),
    }
}

fn parsed(document: &RawValue) -> Object {
    stored_object(Some(document.get()))
}
