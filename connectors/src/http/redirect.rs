//! Where an answer sends a request on to. Pure: the client asks, holds the target against the reach, and sends.

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::request::is_secret;

/// How many redirects are followed. More is a loop; two or three happen (another name, `https`, a path).
pub const REDIRECTS_MAX: usize = 5;

/// Where `status` and `headers` send a request to `from` on to. `None` if the answer is to be taken as it is, as one to a write is:
/// what it says of where to look next is for who asked.
pub(super) fn target(
    method: &Method,
    from: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Url>, String> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = headers.get(header::LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    if *method != Method::GET && *method != Method::HEAD {
        return Ok(None);
    }
    let target = location.to_str().ok().and_then(|location| from.join(location).ok());
    let target = target.ok_or_else(|| "its `location` is no URL".to_owned())?;
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err("it leads from https to plain http".to_owned());
    }
    Ok(Some(target))
}

/// `headers`, as they may be shown at `to` when they were meant for `from`.
pub(super) fn carried(headers: HeaderMap, from: &Url, to: &Url) -> HeaderMap {
    if from.origin() == to.origin() {
        return headers;
    }
    let shown = headers.iter().filter(|(name, value)| !is_secret(name, value));
    shown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn sent_on(method: &Method, status: u16, from: &str, to: &str) -> Result<Option<Url>, String> {
        let headers =
            HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(to).unwrap())]);
        target(method, &url(from), StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_what_changes_nothing_is_sent_on() {
        let (from, to) = ("https://a.example/x?y", "../z");
        for status in [301, 302, 303, 307, 308] {
            for method in [Method::GET, Method::HEAD] {
                let target = sent_on(&method, status, from, to).unwrap();
                assert_eq!(target, Some(url("https://a.example/z")));
            }
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(sent_on(&method, status, from, to), Ok(None), "{method} {status}");
            }
        }
        for status in [200, 201, 300, 304, 400] {
            assert_eq!(sent_on(&Method::GET, status, from, to), Ok(None), "{status}");
        }
    }

    #[test]
    fn encryption_is_not_given_up() {
        let get = |from, to| sent_on(&Method::GET, 302, from, to);
        assert!(get("https://a.example", "http://a.example").is_err());
        assert!(get("https://a.example", "//b.example").unwrap().unwrap().scheme() == "https");
        assert!(get("http://a.example", "https://a.example").is_ok());
        assert!(get("https://a.example", "https://[oops").is_err());
    }

    #[test]
    fn credentials_stay_with_the_origin_they_were_meant_for() {
        let mut marked = HeaderValue::from_static("s3cr3t");
        marked.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t")),
            (header::COOKIE, HeaderValue::from_static("session=s3cr3t")),
            (HeaderName::from_static("x-mine"), marked),
            (header::ACCEPT, HeaderValue::from_static("a/b")),
            (header::ACCEPT, HeaderValue::from_static("c/d")),
        ]);
        let from = url("https://a.example/x");
        assert_eq!(carried(headers.clone(), &from, &url("https://a.example:443/y")), headers);
        for to in ["https://b.example", "https://a.example:444", "https://b.a.example"] {
            let carried = carried(headers.clone(), &from, &url(to));
            assert_eq!(carried.len(), 2, "{to}");
            assert_eq!(carried.get_all(header::ACCEPT).iter().count(), 2);
        }
    }
}
