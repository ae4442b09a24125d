//! An argument stays where it was put: in its segment, in its value of the query, in its field of a body.

use proptest::prelude::*;
use serde_json::{Value, json};
use soloist_kernel::fault::{FaultClass, Phase};

use super::{parsed, planned, small};
use crate::http::Url;

fn connector() -> super::Declared {
    let text = small(
        "[[operation]]\nname = 'make'\nsummary = 'Make'\nkind = 'write'\nmethod = 'POST'\n\
         path = '/a/{{ arguments.id }}/v-{{ arguments.id }}:go'\nquery = { q = '{{ arguments.id }}', z = '1' }\n\
         form = { deep = { name = '{{ arguments.id }}' } }\nsemantics = 'opaque'\n\
         arguments.id = { role = 'routing' }",
    );
    parsed("x.toml", &text)
}

/// The URL and the body that are planned with `id`.
fn made(id: &Value) -> Result<(Url, String), soloist_kernel::fault::Fault> {
    let plan = planned(&connector(), "make", &json!({ "id": id }))?;
    let planned: Value = serde_json::from_slice(&plan.bytes).unwrap();
    let request = &planned["request"];
    let url = request["url"].as_str().unwrap().parse().unwrap();
    Ok((url, request["body"].as_str().unwrap().to_owned()))
}

/// `text` without its percents; `+` is a plus.
fn decoded(text: &str) -> String {
    let form = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes()).next().unwrap().1.into_owned()
}

#[track_caller]
fn stays(id: &str) {
    let Ok((url, body)) = made(&json!(id)) else {
        let is_special = ["", ".", ".."].contains(&id) || id.contains(char::is_control);
        assert!(is_special, "{id:?} is refused");
        return;
    };
    assert_eq!(url.host_str(), Some("x.example"));
    let segments: Vec<&str> = url.path_segments().unwrap().collect();
    let [api, a, whole, part] = segments[..] else { panic!("{url}") };
    assert_eq!((api, a), ("api", "a"));
    assert_eq!(decoded(whole), id, "{url}");
    let inner = part.strip_prefix("v-").and_then(|part| part.strip_suffix(":go")).unwrap();
    assert_eq!(decoded(inner), id, "{url}");
    assert!(!inner.contains(':'), "{url}");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert_eq!(query, [("q".into(), id.into()), ("z".into(), "1".into())], "{url}");
    assert_eq!(url.fragment(), None);
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(form, [("deep[name]".to_owned(), id.to_owned())], "{body}");
}

#[test]
fn what_would_lead_elsewhere_does_not() {
    for id in [
        "..",
        ".",
        "",
        "../..",
        "a/b",
        "a?b=c",
        "a#b",
        "%2e%2e",
        "%2F",
        "a&z=2",
        "a+b c",
        "a;b",
        "x:cancel",
        "\\",
        "//evil.example",
        "@evil.example",
        "ü/é",
        "a]=b",
        "{{ key }}",
    ] {
        stays(id);
    }
    for id in ["..", ".", "", "a\nb", "a\u{7}"] {
        let fault = made(&json!(id)).unwrap_err();
        assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::NotSent), "{id:?}");
    }
    for id in [json!(["a"]), json!({ "a": 1 })] {
        assert!(made(&id).unwrap_err().message.contains("no text or number"));
    }
}

proptest! {
    #[test]
    fn no_argument_leaves_its_place(id in "\\PC{0,12}|[./\\\\%?#&=+:;@ a2eF]{0,12}") {
        stays(&id);
    }

    #[test]
    fn a_header_holds_its_value_or_is_refused(value in any::<String>()) {
        let text = super::post("headers = { x-value = '{{ arguments.value }}' }");
        let connector = parsed("x.toml", &text);
        match planned(&connector, "make", &json!({ "value": value })) {
            Ok(plan) => {
                let planned: Value = serde_json::from_slice(&plan.bytes).unwrap();
                prop_assert_eq!(&planned["request"]["headers"]["x-value"], &json!(value));
                prop_assert!(value.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
            }
            Err(fault) => prop_assert_eq!(fault.class, FaultClass::Invalid),
        }
    }

    #[test]
    fn a_preview_does_nothing_to_a_terminal(value in any::<String>()) {
        let plan = planned(&parsed("x.toml", &super::post("")), "make", &json!({ "value": value })).unwrap();
        let acts = plan.preview.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
        prop_assert!(!acts, "{:?}", plan.preview);
        prop_assert!(plan.preview.lines().skip(3).all(|line| line.starts_with("    ")));
    }
}
