//! Publishers at the same time.

use futures::future::join_all;
use testkit::{Fixture, HubBuilder, on_both};

on_both!(
    of_two_clients_with_the_same_version_exactly_one_wins,
    of_two_people_with_a_new_name_exactly_one_gets_it,
    different_versions_at_once_all_arrive,
);

/// A hundred rounds, as the promise says.
const ROUNDS: usize = 100;

async fn of_two_clients_with_the_same_version_exactly_one_wins(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for round in 0..ROUNDS {
        let version = format!("1.0.{round}");
        // Different bytes under the same number.
        let contenders = ["one", "two"].map(|text| {
            Fixture::new("csv-reader")
                .version(&version)
                .file("which.txt", text)
        });
        let answers = join_all(contenders.iter().map(|skill| alice.publish(skill))).await;
        let won: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.clone().assert_problem(409, "version-exists");
        }
        // What was acknowledged is what is served.
        let served = hub
            .get(&format!("/packages/csv-reader-{version}.spm"))
            .await;
        let checksum = skill_format::Sha256::of(&served.bytes).to_string();
        assert_eq!(won[0].json()["checksum"], checksum, "round {round}");
    }
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["releases"].as_array().map(Vec::len), Some(ROUNDS));
}

async fn of_two_people_with_a_new_name_exactly_one_gets_it(hub: HubBuilder) {
    let hub = hub.start().await;
    let people = [hub.person("alice").await, hub.person("bob").await];
    for round in 0..20 {
        let skill = Fixture::new(&format!("prize-{round}")).version("1.0.0");
        let answers = join_all(people.iter().map(|person| person.publish(&skill))).await;
        let mut statuses: Vec<u16> = answers
            .iter()
            .map(|answer| answer.status.as_u16())
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403], "round {round}: {answers:?}");
        let owners = hub
            .get(&format!("/api/v1/skills/prize-{round}"))
            .await
            .json();
        assert_eq!(owners["owners"].as_array().map(Vec::len), Some(1));
    }
}

async fn different_versions_at_once_all_arrive(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skills: Vec<_> = (0..20)
        .map(|number| Fixture::new("csv-reader").version(&format!("1.{number}.0")))
        .collect();
    for answer in join_all(skills.iter().map(|skill| alice.publish(skill))).await {
        answer.assert_status(201);
    }
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["version"], "1.19.0");
    let versions = skill["versions"].as_array().expect("versions");
    assert_eq!(
        (versions.len(), &versions[1]),
        (20, &serde_json::json!("1.18.0"))
    );
}
