//! Content: briefs become articles, if their claims hold and the operator says so; and another website tells of articles of
//! its own, by webhook.

use serde_json::{Value, json};
use soloist::{Soloist, run::Awaits};
use soloist_sim::{Operator, Scenario, Webhook, World};

use super::{checks, rules::Rules, systems::sandbox};
use crate::{company::scenario, report::Failure};

/// Articles at most, and as many webhooks.
const ARTICLES: u32 = 3;

/// What stands of a brief whose article is published, in the order in which it is done.
const WHOLE: [&str; 2] = ["cms.create_draft", "cms.publish"];

/// The scenario.
pub(super) fn scenario() -> Result<Scenario, Failure> {
    let rules = Rules::of(scenario::Scenario::Content)?;
    let deployed = rules.deployed()?;
    let brief = scenario::Scenario::Content.input();
    let mut scenario = Scenario::new("content");
    scenario
        .size_max(ARTICLES)
        .systems(|_| sandbox(&["cms"]))
        .kernel(move |builder, _| rules.add(builder))
        .deploys(move |builder, _| deployed.add(builder))
        .workload(move |client| {
            let brief = brief.clone();
            async move {
                for index in 0..client.size() {
                    let mut brief: Value = brief.clone();
                    brief["slug"] = json!(format!("article-{index}"));
                    client.start("content", &format!("article-{index}"), &brief).await;
                }
            }
        })
        .webhooks(|world| (0..world.size()).map(told).collect())
        .operator(Operator::default())
        .always("a-draft-was-kept", kept_before)
        .finally("published-with-a-yes", published_with_a_yes)
        .finally("one-run-for-each-event", one_run_for_each_event)
        .sometimes("an article was published", |world| !world.effects_of("cms.publish").is_empty())
        .sometimes("a draft was taken back", |world| {
            !world.effects_of("cms.delete_draft").is_empty()
        });
    Ok(scenario)
}

/// Another website tells of an article.
fn told(index: u32) -> Webhook {
    Webhook {
        source: "website".into(),
        id: format!("told-{index}"),
        event: "content.published".into(),
        data: json!({ "slug": format!("elsewhere-{index}"), "words": 200, "claims": 4 }),
        at_ms: u64::from(index) * 1_500,
    }
}

/// No article is there before its draft: of each that is published, one more was kept.
fn kept_before(world: &World) -> Result<(), String> {
    let (mut kept, mut published) = (0, 0);
    for effect in world.effects() {
        match effect.operation.as_str() {
            "cms.create_draft" => kept += 1,
            "cms.publish" => published += 1,
            _ => {}
        }
        if published > kept {
            return Err(format!("{published} articles were published, and {kept} drafts kept"));
        }
    }
    Ok(())
}

/// What was published was kept as a draft, and the operator has said yes to it before.
fn published_with_a_yes(world: &World, soloist: &Soloist) -> Result<(), String> {
    for run in checks::runs(soloist, "content")? {
        let stands = checks::stands(world, &run);
        let yes = run.awaited().any(|(_, _, awaited)| {
            let is_approval =
                matches!(&awaited.what, Awaits::Question(question) if question.approval);
            let answer = awaited.answer.as_ref().map(|answer| answer.payload.value.value());
            is_approval && answer.is_some_and(|answer| answer["approved"] == json!(true))
        });
        if !stands.is_empty() && !yes {
            return Err(format!("{} left {}, and nobody said yes", run.id, stands.join(", ")));
        }
        // A run that was ended names what of it cannot be taken back.
        let named = run.writes().any(|(_, _, write)| write.uncompensated.is_some());
        if stands.iter().any(|stand| stand == WHOLE[1]) && stands != WHOLE && !named {
            return Err(format!("{} published an article, and kept no draft", run.id));
        }
    }
    Ok(())
}

/// Whatever is told, once or several times, starts one run.
fn one_run_for_each_event(world: &World, soloist: &Soloist) -> Result<(), String> {
    let runs = checks::runs(soloist, "content-metrics")?;
    let started = |index: u32| {
        let slug = told(index).data["slug"].clone();
        runs.iter().filter(|run| run.input.value.value()["slug"] == slug).count()
    };
    match (0..world.size()).find(|index| started(*index) != 1) {
        Some(index) => Err(format!("{} runs began with event told-{index}", started(index))),
        None => Ok(()),
    }
}
