//! What the catalogue of tables says of a table and of a column.

use crate::store::Engine;

/// Bytes that MySQL's TEXT holds, which the Python service's tables have for JSON.
const MYSQL_TEXT: u32 = 65_535;

/// A table of the newest layout.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Whether its rows have a `project_id`. Rows of others belong to the project of their job, or to none.
    pub(crate) owned: bool,
    pub(crate) columns: &'static [Column],
    /// Columns that MySQL computes by itself.
    pub(crate) computed: &'static [&'static str],
}

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The Python service has it too.
    Shared,
    /// Values of older layouts that have no other place. Copied, since they exist nowhere else.
    Leftovers,
    /// Ours: what was seen once and cannot be found out again.
    History,
    /// Ours, and of no worth to another database.
    Bookkeeping,
}

/// A column and where its values are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
    /// Whether it is part of the primary key.
    pub(crate) is_key: bool,
    /// Characters that it holds, where the engine enforces a width.
    pub(crate) width: Option<u32>,
    /// Characters that the Python service's own column holds, where they are fewer.
    shared_width: Option<u32>,
    /// The member of the resource's document that shows it.
    pub(crate) member: Option<&'static str>,
    /// Whether its values only ever grow.
    pub(crate) counts: bool,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Text.
    Text,
    /// Text with JSON.
    Json(Json),
    /// 32 bits; 64 in tables of ours.
    Integer,
    /// True, false or null.
    Boolean,
    /// Date and time in UTC; whole seconds on MySQL.
    Time,
    /// Any bytes.
    Bytes,
}

/// What a column's JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Json {
    /// An object with any members, at any depth.
    Object,
    /// A flat object with the members of a schedule alone.
    Schedule,
    /// A list of strings.
    Strings,
}

impl Column {
    pub(super) const fn new(name: &'static str, kind: ColumnKind) -> Column {
        Column {
            name,
            kind,
            is_key: false,
            width: None,
            shared_width: None,
            member: None,
            counts: false,
        }
    }

    pub(super) const fn key(mut self) -> Column {
        self.is_key = true;
        self
    }

    /// Shown under this name.
    pub(super) const fn shown(mut self, member: &'static str) -> Column {
        self.member = Some(member);
        self
    }

    pub(super) const fn width(mut self, width: u32) -> Column {
        self.width = Some(width);
        self
    }

    pub(super) const fn wider_than(mut self, shared_width: u32) -> Column {
        self.shared_width = Some(shared_width);
        self
    }

    pub(super) const fn counting(mut self) -> Column {
        self.counts = true;
        self
    }

    /// Whether it holds a whole document, limited by [`MAX_TEXT`](crate::store::MAX_TEXT) alone.
    pub(crate) fn is_document(&self) -> bool {
        matches!(self.kind, ColumnKind::Json(_)) && self.width.is_none()
    }

    /// What the Python service's column holds where ours holds more: in words, and the condition on rows that have more.
    pub(crate) fn beyond_shared(&self, engine: Engine) -> Option<(String, String)> {
        let name = self.name;
        match (engine, self.shared_width) {
            (Engine::MySql, None) if self.is_document() => Some((
                format!("{MYSQL_TEXT} bytes"),
                format!("LENGTH({name}) > {MYSQL_TEXT}"),
            )),
            (Engine::MySql | Engine::Postgres, Some(width)) => Some((
                format!("{width} characters"),
                format!("CHAR_LENGTH({name}) > {width}"),
            )),
            // SQLite enforces no widths.
            _ => None,
        }
    }
}

impl Table {
    /// The columns of its primary key.
    pub(crate) fn key(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

pub(super) const fn text(name: &'static str, width: u32) -> Column {
    Column::new(name, ColumnKind::Text).width(width)
}

pub(super) const fn json(name: &'static str, json: Json) -> Column {
    Column::new(name, ColumnKind::Json(json))
}

pub(super) const fn integer(name: &'static str) -> Column {
    Column::new(name, ColumnKind::Integer)
}

pub(super) const fn boolean(name: &'static str) -> Column {
    Column::new(name, ColumnKind::Boolean)
}

pub(super) const fn time(name: &'static str) -> Column {
    Column::new(name, ColumnKind::Time)
}

pub(super) const fn shared(name: &'static str, owned: bool, columns: &'static [Column]) -> Table {
    Table {
        name,
        role: Role::Shared,
        owned,
        columns,
        computed: &[],
    }
}
