//! What the page is: whole, closed, and made of text that stays text.

use super::*;
use crate::report::sample;

/// Elements that have no end.
const SLASHED: &str = "/>";

/// Fails unless every element that begins ends, in order, and every `&` begins a name.
#[track_caller]
fn assert_well_formed(page: &str) {
    let (mut open, mut rest) = (vec![], page.strip_prefix("<!doctype html>").unwrap());
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "{:?}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {:?}", rest.get(..80));
        } else if !format!("{tag}>").ends_with(SLASHED) {
            let name = tag.split([' ', '\n']).next().unwrap();
            open.push(name);
            if ["script", "style"].contains(&name) {
                rest = &rest[rest.find(&format!("</{name}>")).expect("it ends")..];
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn times(page: &str, part: &str) -> usize {
    page.matches(part).count()
}

#[test]
fn the_page_is_well_formed() {
    let unkept = Outcome { trace: vec![], ..sample::twice() };
    for outcome in [sample::twice(), sample::calm(), sample::long(3_000), sample::hostile(), unkept]
    {
        assert_well_formed(&html(&outcome));
    }
}

#[test]
fn the_page_says_what_there_is_to_say() {
    let page = html(&sample::twice());
    let parts = [
        "outreach <span>seed 7</span>",
        "<strong>effect-once</strong> does not hold: 2 mails to bert@example.com",
        "<a href=\"#l29\">at 15:31.681",
        "<li>At effect 1 in the world: the process is killed (crash)</li>",
        "soloist sim replay &#39;{&quot;scenario&quot;",
        ">+15 min</text>",
        ">process 2</text>",
    ];
    for part in parts {
        assert!(page.contains(part), "{part} is missing");
    }
    let picture = &page[page.find("<svg xmlns").unwrap()..page.rfind("</svg>").unwrap()];
    assert_eq!(times(picture, "class=\"effect\""), 3);
    assert_eq!(times(picture, "class=\"bar open\""), 1);
    assert_eq!(times(picture, "class=\"bar\""), 4);
    assert_eq!(times(picture, "class=\"end\""), 1);
    assert_eq!(times(picture, "class=\"band\""), 1);
    assert_eq!(times(picture, "class=\"pole\""), 1);
    assert!(html(&sample::calm()).contains("Everything held."));
}

#[test]
fn each_lane_stands_there_once_in_order_of_appearance() {
    let page = html(&sample::twice());
    let place = |lane: &str| {
        let part = format!("\" title=\"{lane}\">{lane}</li>");
        assert_eq!(times(&page, &part), 1, "{lane}");
        page.find(&part).unwrap()
    };
    let lanes = ["process", "client", "journal", "llm", "operator", "mail"];
    assert!(lanes.map(place).is_sorted());
}

#[test]
fn text_stays_text() {
    let page = html(&sample::hostile());
    assert_eq!(times(&page, "<script"), 2, "its own two");
    assert_eq!(times(&page, "</script"), 2);
    for part in ["<lane", "<img", "<i>", "<b>", "<!--", "\u{0}", "\u{1b}"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("&lt;lane-38&gt;") && page.contains("\\u003clane-59>"));
}

#[test]
fn the_page_asks_for_nothing() {
    let page = html(&sample::long(500));
    let addresses = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for part in ["http:", "https:", "src=", "@import", "fetch("] {
        assert!(!addresses.contains(part), "{part}");
    }
}

#[test]
fn a_page_has_a_limit_and_says_what_it_leaves_out() {
    let outcome = sample::long(12_000);
    let page = html(&outcome);
    assert!(page.contains("lines are left out of this page"));
    let first = outcome.trace.len() - LINES_MAX + 1;
    assert!(page.contains(&format!("{{\"first\":{first},")));
}

#[test]
fn clocks_show_hours_when_there_are_some() {
    assert_eq!(clock(25_104), "0:25.104");
    assert_eq!(clock(7_800_000), "2:10:00.000");
}

/// Pages to look at in a browser: `TIMELINE_DIR=target cargo test -p soloist-sim -- --ignored pages`.
#[test]
#[ignore = "it writes pages for people"]
fn pages_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var_os("TIMELINE_DIR").unwrap());
    let pages = [
        ("short", sample::twice()),
        ("calm", sample::calm()),
        ("long", sample::long(3_000)),
        ("full", sample::long(12_000)),
        ("hostile", sample::hostile()),
    ];
    for (name, outcome) in pages {
        std::fs::write(folder.join(format!("{name}.html")), html(&outcome)).unwrap();
    }
}
