//! Lists come in pages: `?page=2&per_page=50`, with the total in the body and the neighbours in `Link` (RFC 8288).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use super::problem::Problem;
use crate::input::{self, Fields};
use crate::store::{Found, Slice};

const PER_PAGE_DEFAULT: i64 = 20;
const PER_PAGE_MAX: i64 = 100;
/// Far beyond the end of any list here, and far from where an offset would overflow.
const PAGE_MAX: i64 = 1_000_000;

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    number: i64,
    per_page: i64,
}

impl Page {
    /// The part of the list that is on this page.
    pub fn slice(self) -> Slice {
        Slice {
            offset: (self.number - 1) * self.per_page,
            limit: self.per_page,
        }
    }

    /// The pages beside this one: the previous and the next, of a list of `total` items. From beyond the end, the
    /// previous one is the last that has items.
    fn neighbours(self, total: i64) -> (Option<i64>, Option<i64>) {
        let last = (total + self.per_page - 1) / self.per_page;
        let previous = (self.number - 1).min(last);
        (
            (previous > 0).then_some(previous),
            (self.number < last).then_some(self.number + 1),
        )
    }
}

/// One page as it is sent.
#[derive(Serialize)]
pub struct Listing<T> {
    items: Vec<T>,
    page: i64,
    per_page: i64,
    total: i64,
}

/// The query of a request for a list.
pub struct Query {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// The page, and the other parameters that `take` takes.
    pub fn read<T>(&self, take: impl FnOnce(&mut Fields) -> T) -> Result<(Page, T), Problem> {
        let read = |fields: &mut Fields| {
            let number = fields.whole_or("page", 1..=PAGE_MAX, 1);
            let per_page = fields.whole_or("per_page", 1..=PER_PAGE_MAX, PER_PAGE_DEFAULT);
            (Page { number, per_page }, take(fields))
        };
        input::read_query(&self.pairs, read).map_err(Problem::Malformed)
    }

    /// The page when there is nothing else to ask for.
    pub fn page(&self) -> Result<Page, Problem> {
        self.read(|_| ()).map(|(page, ())| page)
    }

    /// Answers with what was found, by `answer`, and links to the pages beside it.
    pub fn answer<T>(
        &self,
        page: Page,
        found: Found<T>,
        answer: impl FnOnce(&Listing<T>) -> Response,
    ) -> Response {
        let (previous, next) = page.neighbours(found.total);
        let listing = Listing {
            items: found.items,
            page: page.number,
            per_page: page.per_page,
            total: found.total,
        };
        let mut response = answer(&listing);
        let links: Vec<_> = [("prev", previous), ("next", next)]
            .into_iter()
            .filter_map(|(rel, number)| {
                Some(format!("<{}>; rel=\"{rel}\"", self.url(number?, page.per_page)))
            })
            .collect();
        if let Ok(value) = HeaderValue::try_from(links.join(", "))
            && !value.is_empty()
        {
            response.headers_mut().insert(header::LINK, value);
        }
        response
    }

    /// The same list at another page: the other parameters stay.
    fn url(&self, number: i64, per_page: i64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            self.pairs
                .iter()
                .filter(|(name, _)| name != "page" && name != "per_page"),
        );
        query.append_pair("page", &number.to_string());
        query.append_pair("per_page", &per_page.to_string());
        format!("{}?{}", self.path, query.finish())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Query {
            path: parts.uri.path().to_owned(),
            pairs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn following_the_links_from_the_first_page_sees_every_item_once(total in 0i64..500, per_page in 1i64..40) {
            let all: Vec<i64> = (0..total).collect();
            let mut seen: Vec<i64> = Vec::new();
            let (mut page, mut before) = (Page { number: 1, per_page }, None);
            loop {
                let Slice { offset, limit } = page.slice();
                seen.extend(all.iter().skip(offset as usize).take(limit as usize));
                let (previous, next) = page.neighbours(total);
                prop_assert_eq!(previous, before);
                before = Some(page.number);
                match next {
                    Some(number) => page = Page { number, per_page },
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn no_link_leads_beyond_the_end(number in 1i64..=PAGE_MAX, per_page in 1i64..=PER_PAGE_MAX, total in 0i64..1_000) {
            let (previous, next) = Page { number, per_page }.neighbours(total);
            for page in previous.into_iter().chain(next) {
                prop_assert!((page - 1) * per_page < total);
            }
        }
    }
}
