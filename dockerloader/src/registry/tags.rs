//! The tags of a repository, page by page (OCI distribution spec, "Content Discovery").

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LINK};
use serde::Deserialize;

use super::ask::What;
use super::endpoint::Endpoint;
use super::error::{Error, printable};
use super::{Client, answer, retry};
use crate::limits::OverLimit;
use crate::reference::{Reference, is_tag};

#[derive(Deserialize)]
struct Page {
    /// `null` where there are none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags of a reference's repository, sorted by their bytes. What is no tag by the specification is left out.
    ///
    /// # Errors
    /// [`Error`], after the retries that its remedy allows.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        let mut attempts = retry::Attempts::default();
        loop {
            match self.tags_once(reference).await {
                Ok(tags) => return Ok(tags.into_iter().collect()),
                Err(error) => self.pause_after(&mut attempts, error).await?,
            }
        }
    }

    async fn tags_once(&self, reference: &Reference) -> Result<BTreeSet<String>, Error> {
        let mut sources = self.sources(reference, None);
        loop {
            let (endpoint, is_last) = sources.next()?;
            match self.tags_at(&endpoint).await {
                Err(error) if !is_last => self.pass_over(&endpoint, &error),
                answer => return answer,
            }
        }
    }

    async fn tags_at(&self, endpoint: &Endpoint) -> Result<BTreeSet<String>, Error> {
        let mut tags = BTreeSet::new();
        let mut what = What::Tags(None);
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            let response = self.ask(endpoint, Method::GET, &what, headers).await?;
            if !response.status().is_success() {
                return Err(self.refusal(endpoint, &what, response).await);
            }
            let links = response.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
            let next = links.filter_map(next_page).next();
            let text = what.to_string();
            let bytes = answer::read(&self.transport, response, self.limits.tag_page_bytes, &text).await?;
            let malformed = |problem: String| Error::Malformed {
                host: endpoint.host.clone(),
                what: "the list of tags",
                problem,
            };
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|error| malformed(printable(&error.to_string())))?;
            let before = tags.len();
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)));
            let over =
                |source: OverLimit| Error::OverLimit { host: endpoint.host.clone(), what: text, source };
            self.limits.tags.check(tags.len() as u64).map_err(over)?;
            match next {
                None => return Ok(tags),
                // It would never end.
                Some(_) if tags.len() == before => {
                    return Err(malformed(
                        "a page without anything new says that there is another one".to_owned(),
                    ));
                }
                Some(query) => what = What::Tags(Some(query)),
            }
        }
    }
}

/// The query of the next page, of a `Link` header (RFC 8288): wherever the link leads, the next page is asked for where the first
/// one was.
fn next_page(header: &str) -> Option<String> {
    header.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            parameter.trim().split_once('=').is_some_and(|(name, value)| {
                let relations = value.trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && relations.split(' ').any(|relation| relation.eq_ignore_ascii_case("next"))
            })
        });
        let (_, query) = target.split_once('?')?;
        let query = query.split('#').next()?;
        (is_next && !query.is_empty()).then(|| query.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_every_form_of_a_link() {
        for (header, expected) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("last=b&n=2")),
            ("<https://elsewhere.example/v2/a/tags/list?next_page=x%3D>; rel=next", Some("next_page=x%3D")),
            (r#"</p?a=1>; rel="prev", </p?a=2,3>; REL="last Next"; title="x""#, Some("a=2,3")),
            (r#"</p?a=1#end>; rel="next""#, Some("a=1")),
            (r#"</p?a=1>; rel="prev""#, None),
            (r#"</p>; rel="next""#, None),
            (r#"</p?>; rel="next""#, None),
            (r#"</p?a=1"#, None),
            ("", None),
        ] {
            assert_eq!(next_page(header).as_deref(), expected, "{header}");
        }
    }
}
