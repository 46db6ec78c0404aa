//! The parameters of lists: `limit` and `offset` of the reference, and `marker` and `sort` of the API guideline "Pagination,
//! Filtering, and Sorting".

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::Api;
use super::extract::Body;
use super::forwarded::public_url;
use crate::domain::search::Search;
use crate::error::ApiError;
use crate::store::{Listing, NextPage, Order, Page};

/// Documents in a list where the request does not say.
const DEFAULT_LIMIT: u64 = 10;

/// The parameters with which a caller tells that it follows links.
const LINKED: [&str; 4] = ["marker", "sort", "sort_key", "sort_dir"];

/// Which part of a list is asked for, and what it is searched for: a search is the body of a GET.
pub(super) struct List {
    pub(super) listing: Listing,
    /// The id of the document behind which the page begins.
    pub(super) marker: Option<String>,
}

impl FromRequest<Arc<Api>> for List {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<List, ApiError> {
        let query = request.uri().query().unwrap_or_default();
        let page = page(query, api)?;
        let order = order_by(query, "created_at", Order::OldestFirst)?;
        let marker = identifier(query, "marker")?;
        let is_linked = LINKED.iter().any(|name| parameter(query, name).is_some());
        let next = is_linked.then(|| next_page(&public_url(&api.config, &request), &request));
        let max_terms = api.config.api.max_search_terms as usize;
        let body = Body::of_search(request, api).await?;
        let search = Search::parse(&body.or_empty(), max_terms)?;
        let listing = Listing {
            page,
            order,
            after: None,
            search,
            next,
        };
        Ok(List { listing, marker })
    }
}

/// Whether a list shall have the documents of all projects.
pub(super) struct AllProjects(pub(super) bool);

impl FromRequestParts<Arc<Api>> for AllProjects {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<AllProjects, ApiError> {
        boolean(parts.uri.query().unwrap_or_default(), "all_projects").map(AllProjects)
    }
}

fn page(query: &str, api: &Api) -> Result<Page, ApiError> {
    let offset = integer(query, "offset")?.unwrap_or(0);
    let limit = limit(query, api)?;
    Ok(Page { limit, offset })
}

/// How many documents a page has at most.
pub(super) fn limit(query: &str, api: &Api) -> Result<u64, ApiError> {
    let limit = integer(query, "limit")?.filter(|limit| *limit > 0);
    Ok(limit
        .unwrap_or(DEFAULT_LIMIT)
        .min(api.config.api.max_limit.into()))
}

/// The id that a parameter names. PostgreSQL takes no NUL, and no id has one.
pub(super) fn identifier(query: &str, name: &str) -> Result<Option<String>, ApiError> {
    match parameter(query, name) {
        Some(id) if id.contains('\0') => Err(invalid(name, "No id has a NUL.")),
        other => Ok(other),
    }
}

/// The order by the `only` key of a list: `sort=created_at:desc`, or `sort_key=created_at&sort_dir=desc`.
pub(super) fn order_by(query: &str, only: &str, default: Order) -> Result<Order, ApiError> {
    order_by_any(query, &[only], default).map(|(_, order)| order)
}

/// The same by one of several keys, of which the first is meant where none is named.
pub(super) fn order_by_any<'k>(
    query: &str,
    keys: &[&'k str],
    default: Order,
) -> Result<(&'k str, Order), ApiError> {
    let sort = parameter(query, "sort").unwrap_or_default();
    let (key, direction) = sort.split_once(':').unwrap_or((&sort, ""));
    let given = |text: &str, name| match text {
        "" => parameter(query, name),
        _ => Some(text.to_owned()),
    };
    let named = given(key, "sort_key");
    let named = match &named {
        None => keys.first(),
        Some(named) => keys.iter().find(|key| *key == named),
    };
    let Some(key) = named else {
        let all = keys.join("\" or \"");
        return Err(invalid("sort", &format!("The key must be \"{all}\".")));
    };
    let order = match given(direction, "sort_dir").as_deref() {
        None => default,
        Some("asc") => Order::OldestFirst,
        Some("desc") => Order::NewestFirst,
        Some(_) => {
            let reason = "The direction must be \"asc\" or \"desc\".";
            return Err(invalid("sort", reason));
        }
    };
    Ok((key, order))
}

/// The address of the page that follows: the same parameters, behind another document.
pub(super) fn next_page(base: &str, request: &Request) -> NextPage {
    let uri = request.uri();
    let kept: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !matches!(pair.split('=').next(), Some("" | "marker" | "offset")))
        .collect();
    let kept = kept
        .iter()
        .map(|pair| format!("{pair}&"))
        .collect::<String>();
    NextPage(format!("{base}{}?{kept}marker=", uri.path()))
}

pub(super) fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::InvalidParameter(format!("The \"{name}\" parameter is invalid. {reason}"))
}

/// The value of a parameter: the last one where it is repeated or has several, separated by commas. Blank counts as
/// absent.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query, name).pop()
}

/// All values of a parameter, whether it is repeated or has several.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| decode(key) == name)
        .flat_map(|(_, values)| values.split(',').map(decode))
        .filter(|value| !value.is_empty())
        .map(Cow::into_owned)
        .collect()
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8_lossy();
        return Cow::Owned(decoded.into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

fn integer(query: &str, name: &str) -> Result<Option<u64>, ApiError> {
    let invalid = || {
        invalid(
            name,
            &format!("The value must be an integer from 0 to {}.", u64::MAX),
        )
    };
    match parameter(query, name) {
        None => Ok(None),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| invalid())
        }
        Some(_) => Err(invalid()),
    }
}

fn boolean(query: &str, name: &str) -> Result<bool, ApiError> {
    match parameter(query, name).as_deref() {
        Some("true" | "True" | "t" | "yes" | "y" | "1" | "on") => Ok(true),
        None | Some("false" | "False" | "f" | "no" | "n" | "0" | "off") => Ok(false),
        Some(_) => Err(ApiError::InvalidParameter(format!(
            "The \"{name}\" parameter is invalid. The value must be \"true\" or \"false\"."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        assert_eq!(parameter("limit=5,2", "limit").as_deref(), Some("2"));
        assert_eq!(
            parameter("limit=5&x=1&limit=3,", "limit").as_deref(),
            Some("3")
        );
        assert_eq!(parameter("limit=", "limit"), None);
        assert_eq!(parameter("%6cimit=%35", "limit").as_deref(), Some("5"));
    }

    #[test]
    fn integers_are_plain_decimals() {
        assert_eq!(
            integer("n=18446744073709551615", "n").unwrap(),
            Some(u64::MAX)
        );
        for text in [
            "-1",
            "%2B5",
            "1_000",
            "18446744073709551616",
            "5.0",
            "+5",
            "x",
            "%D9%A3",
        ] {
            assert!(integer(&format!("n={text}"), "n").is_err(), "{text}");
        }
    }
}
