//! What a database says about its own tables.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::support::rows::with_connection;
use crate::support::{Database, Engine};

/// The rows of a query that gives one text each.
pub(crate) async fn texts(database: &Database, query: &str) -> Vec<String> {
    let query = AssertSqlSafe(query.to_owned());
    with_connection!(database, connection => {
        sqlx::query_scalar(query)
            .fetch_all(&mut connection)
            .await
            .unwrap()
    })
}

/// Type, nullability and default of each column, by table and column. Tables that note revisions of others are left out.
pub(super) async fn columns(database: &Database) -> BTreeMap<(String, String), String> {
    let query = match database.engine() {
        Engine::MySql => {
            "SELECT CONCAT_WS('|', table_name, column_name, column_type, is_nullable, COALESCE(column_default, 'none')) \
             FROM information_schema.columns WHERE table_schema = DATABASE()"
        }
        Engine::Postgres => {
            "SELECT CONCAT_WS('|', table_name, column_name, data_type, character_maximum_length, is_nullable, \
             COALESCE(column_default, 'none')) FROM information_schema.columns WHERE table_schema = current_schema()"
        }
        Engine::Sqlite => {
            "SELECT m.name || '|' || c.name || '|' || c.type || '|' || c.\"notnull\" || '|' || COALESCE(c.dflt_value, 'none') \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
    };
    let rows = texts(database, query).await;
    rows.iter()
        .map(|row| {
            let mut parts = row.splitn(3, '|').map(str::to_owned);
            let mut part = || parts.next().unwrap();
            ((part(), part()), part())
        })
        .filter(|((table, _), _)| !["alembic_version", "migrate_version"].contains(&table.as_str()))
        .collect()
}

/// All that can be known: columns with their collations, indexes, foreign keys, tables. The order of columns does not count.
pub(super) async fn schema(database: &Database) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for ((table, column), definition) in columns(database).await {
        all.insert(format!("column {table}.{column} {definition}"));
    }
    for query in queries(database.engine()) {
        all.extend(texts(database, query).await);
    }
    all.retain(|line| !line.contains("alembic_version") && !line.contains("migrate_version"));
    all
}

fn queries(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::MySql => &[
            "SELECT CONCAT_WS(' ', 'collation', table_name, column_name, character_set_name, collation_name, extra, \
             generation_expression) FROM information_schema.columns WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'index', table_name, index_name, non_unique, seq_in_index, column_name, sub_part) \
             FROM information_schema.statistics WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'key', table_name, constraint_name, column_name, referenced_table_name, \
             referenced_column_name) FROM information_schema.key_column_usage WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'table', table_name, engine, row_format, table_collation) \
             FROM information_schema.tables WHERE table_schema = DATABASE()",
        ],
        Engine::Postgres => &[
            "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()",
            "SELECT CONCAT_WS(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint \
             WHERE connamespace = current_schema()::regnamespace",
        ],
        Engine::Sqlite => &[
            "SELECT 'index ' || tbl_name || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE type = 'index'",
            "SELECT 'key ' || m.name || ' ' || k.\"from\" || ' ' || k.\"table\" || ' ' || k.\"to\" \
             FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table'",
        ],
    }
}
