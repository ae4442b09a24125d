//! The website: drafts, and articles that everyone may read.
//!
//! Publishing ignores keys, as most websites do: the same request again is a second article. What helps is the key that each
//! article carries as a marker, and a search for it that knows an article only some time after it was published.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist_kernel::{
    catalog::{Argument, Operation},
    fault::Fault,
    labels::{Labeled, Labels, Readers},
    semantics::WriteSemantics,
    time::Timestamp,
};

use super::{
    store::{Change, Records},
    system::{
        Made, Request, System, Written, compensation, id, labels_of, read, receipt_of, text,
        undone_by, write,
    },
};
use crate::arguments::Arguments;

const DRAFTS: &str = "cms/drafts";
pub(super) const ARTICLES: &str = "cms/articles";

/// How long the search misses a new article.
const VISIBILITY_LAG: Duration = Duration::from_secs(2);

pub(super) struct Cms;

#[derive(Serialize, Deserialize)]
struct Draft {
    title: String,
    text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Article {
    slug: String,
    title: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    slug: String,
}

/// The arguments of `delete_draft` and of `unpublish`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Removed {
    Draft(String),
    Article(String),
}

impl System for Cms {
    fn name(&self) -> &'static str {
        "cms"
    }

    fn collections(&self) -> &'static [&'static str] {
        &[DRAFTS, ARTICLES]
    }

    fn operations(&self) -> Vec<(&'static str, Operation)> {
        let title = || json!({ "type": "string", "minLength": 1, "maxLength": 200 });
        let create_draft = write(
            "Keep a draft that nobody else sees",
            WriteSemantics::NaturalKey,
            [("title", Argument::content(title())), ("text", Argument::content(text()))],
            &["draft"],
        );
        let delete_draft = write(
            "Delete a draft",
            WriteSemantics::NaturalKey,
            [("draft", Argument::routing(id()))],
            &["draft"],
        );
        let publish = write(
            "Publish an article for everyone to read",
            WriteSemantics::Searchable { visibility_lag: VISIBILITY_LAG },
            [
                ("slug", Argument::routing(id())),
                ("title", Argument::content(title())),
                ("text", Argument::content(text())),
            ],
            &["article", "slug"],
        );
        let unpublish = write(
            "Take an article off the website",
            WriteSemantics::NaturalKey,
            [("article", Argument::routing(id()))],
            &["article"],
        );
        vec![
            (
                "article",
                read(
                    "Read the newest article at a slug; null if there is none",
                    [("slug", Argument::routing(id()))],
                    json!({ "type": ["object", "null"], "required": ["article", "slug", "title", "text"] }),
                ),
            ),
            ("create_draft", undone_by("delete_draft", create_draft)),
            ("delete_draft", compensation(delete_draft)),
            ("publish", undone_by("unpublish", publish)),
            ("unpublish", compensation(unpublish)),
        ]
    }

    fn read(
        &self,
        _operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        _now: Timestamp,
    ) -> Result<Labeled<Value>, Fault> {
        let Wanted { slug } = arguments.parse()?;
        let mut articles = records.list::<Made<Article>>(ARTICLES)?;
        articles.retain(|made| made.what.slug == slug);
        let Some(Made { what: article, receipt, .. }) = articles.pop() else {
            return Ok(Labeled::new(Value::Null, labels_of("cms", None)));
        };
        let labels =
            Labels { readers: Readers::Anyone, ..labels_of("cms", article.source.as_deref()) };
        let view = json!({
            "article": receipt["article"],
            "slug": article.slug,
            "title": article.title,
            "text": article.text,
        });
        Ok(Labeled::new(view, labels))
    }

    fn write(&self, request: &Request, records: &Records<'_>) -> Result<Written, Fault> {
        match request.operation.as_str() {
            "create_draft" => {
                let id = draft_id(request);
                let draft: Draft = request.arguments.parse()?;
                request.write_once(records, DRAFTS, &id, draft, json!({ "draft": id }))
            }
            "publish" => published(request, records),
            _ => {
                let (collection, id, receipt) = removed(request)?;
                Request::delete(records, collection, &id, receipt)
            }
        }
    }

    fn find(&self, request: &Request, records: &Records<'_>) -> Result<Option<Value>, Fault> {
        match request.operation.as_str() {
            "create_draft" => receipt_of(records, DRAFTS, &draft_id(request)),
            "publish" => {
                let mut articles = records.list::<Made<Article>>(ARTICLES)?.into_iter();
                let indexed = |at: Timestamp| at.until(request.now) >= VISIBILITY_LAG;
                Ok(articles
                    .find(|made| made.key == request.key && indexed(made.at))
                    .map(|made| made.receipt))
            }
            _ => {
                let (collection, id, receipt) = removed(request)?;
                let there: Option<Value> = records.get(collection, &id)?;
                Ok(there.is_none().then_some(receipt))
            }
        }
    }
}

fn draft_id(request: &Request) -> String {
    format!("draft-{}", request.key)
}

fn published(request: &Request, records: &Records<'_>) -> Result<Written, Fault> {
    let article: Article = request.arguments.parse()?;
    // Padded, so that files are in the order of publishing.
    let id = format!("article-{:010}", records.next_number()?);
    let receipt = json!({ "article": id, "slug": article.slug });
    let record = request.makes(article, &receipt);
    Ok(Written::Now { receipt, changes: vec![Change::put(ARTICLES, &id, &record)] })
}

/// Where what is to be removed is kept, its id, and the receipt.
fn removed(request: &Request) -> Result<(&'static str, String, Value), Fault> {
    Ok(match request.arguments.parse()? {
        Removed::Draft(id) => (DRAFTS, id.clone(), json!({ "draft": id })),
        Removed::Article(id) => (ARTICLES, id.clone(), json!({ "article": id })),
    })
}
