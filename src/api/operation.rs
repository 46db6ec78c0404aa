//! What an operation of the REST interface takes and answers, as the OpenAPI document says it.

/// An operation: its line in the table of routes says the rest. Bodies and answers are names of schemas.
#[derive(Debug)]
pub struct Operation {
    /// Its name among all, for programs that are generated from the document.
    pub id: &'static str,
    pub(super) body: Option<Body>,
    /// The status of success, and the answer's schema where it has a body.
    pub(super) success: (u16, Option<&'static str>),
    /// Statuses besides those that every operation has.
    pub(super) refusals: &'static [u16],
    /// The parameters of its query.
    pub(super) query: &'static [&'static str],
    /// The parameter of its path with the identifier under which it may store a new document.
    pub(super) new_id: Option<&'static str>,
    /// Whether it may answer CSV too.
    pub(super) is_table: bool,
}

/// What the body of a request is.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) is_required: bool,
}

impl Operation {
    /// One that takes no body and answers 204.
    pub(super) fn new(id: &'static str) -> Operation {
        Operation {
            id,
            body: None,
            success: (204, None),
            refusals: &[],
            query: &[],
            new_id: None,
            is_table: false,
        }
    }

    fn with_body(mut self, schema: &'static str, is_required: bool) -> Operation {
        self.body = Some(Body {
            schema,
            is_required,
        });
        self
    }

    /// With a body.
    pub(super) fn takes(self, schema: &'static str) -> Operation {
        self.with_body(schema, true)
    }

    /// With a body that may be missing.
    pub(super) fn may_take(self, schema: &'static str) -> Operation {
        self.with_body(schema, false)
    }

    /// With an answer.
    pub(super) fn answers(mut self, status: u16, schema: &'static str) -> Operation {
        self.success = (status, Some(schema));
        self
    }

    /// With an answer that can be a table.
    pub(super) fn answers_table(self, schema: &'static str) -> Operation {
        Operation {
            is_table: true,
            ..self.answers(200, schema)
        }
    }

    /// With the parameters of its query.
    pub(super) fn asks(mut self, query: &'static [&'static str]) -> Operation {
        self.query = query;
        self
    }

    /// With the parameters and the search of a list.
    pub(super) fn lists(mut self, schema: &'static str) -> Operation {
        self.query = &["limit", "offset", "marker", "sort"];
        self.may_take("Search").answers(200, schema)
    }

    /// With those of a list that may show all projects.
    pub(super) fn lists_all_projects(self, schema: &'static str) -> Operation {
        Operation {
            query: &["limit", "offset", "marker", "sort", "all_projects"],
            ..self.lists(schema)
        }
    }

    /// With the identifier of a document that is made where there is none.
    pub(super) fn makes(mut self, parameter: &'static str) -> Operation {
        self.new_id = Some(parameter);
        self
    }

    /// With statuses that not every operation has.
    pub(super) fn refuses(mut self, statuses: &'static [u16]) -> Operation {
        self.refusals = statuses;
        self
    }
}
