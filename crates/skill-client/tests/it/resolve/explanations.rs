//! What a person is told where no versions fit together.

use skill_client::resolver::ResolveError;
use skill_format::{Explain as _, Range};

use super::{World, request};

#[test]
fn an_unknown_skill_names_the_nearest() {
    let world = World::new(&["charts 1.0.0"]);
    let error = world.error(&request(&["chart"]));
    assert_eq!(error.code(), "unknown-skill");
    assert_eq!(
        error.to_string(),
        "there is no skill `chart`, which skills.toml asks for"
    );
    assert_eq!(error.help().as_deref(), Some("did you mean `charts`?"));
}

#[test]
fn an_unknown_dependency_is_found_by_its_requirer() {
    let world = World::new(&["a 1.0.0", "a 2.0.0: chart ^1", "charts 1.0.0"]);
    assert_eq!(world.chosen(&request(&["a"])), ["a 1.0.0"]);
    insta::assert_snapshot!(world.error(&request(&["a ^2"])), @r"
    the requirements do not fit together:
      - skills.toml asks for a ^2
      - a 2.0.0 needs chart ^1
      - there is no skill chart (did you mean `charts`?)
    ");
}

#[test]
fn a_clash_is_told_from_the_top_with_advice_that_works() {
    let world = World::new(&[
        "report 1.0.0: charts ^1",
        "report 2.0.0: charts ^1",
        "report 2.1.0: charts ^1",
        "charts 1.0.0",
        "charts 1.4.0",
        "charts 2.0.0",
    ]);
    let mut wishes = request(&["report ^2", "charts ^2"]);
    let error = world.error(&wishes);
    insta::assert_snapshot!(error, @r"
    the requirements do not fit together:
      - skills.toml asks for report ^2
      - skills.toml asks for charts ^2
      - report 2.0.0 and 2.1.0 need charts ^1
    ");
    let ResolveError::Conflict { advice, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(advice.len(), 1);
    assert_eq!(
        error.help().as_deref(),
        Some("any one of these works: ask for charts 1.4.0 instead of ^2 in skills.toml")
    );
    wishes.requirements[1].range = Range::exact(&advice[0].version);
    assert_eq!(world.chosen(&wishes), ["charts 1.4.0", "report 2.1.0"]);
}

#[test]
fn two_skills_that_disagree_about_a_third_are_named() {
    let world = World::new(&[
        "a 1.0.0: c ^1",
        "b 1.0.0: d *",
        "d 1.0.0: c ^2",
        "d 1.1.0: c ^3",
        "c 1.0.0",
        "c 2.0.0",
    ]);
    let error = world.error(&request(&["a", "b"]));
    insta::assert_snapshot!(error, @r"
    the requirements do not fit together:
      - skills.toml asks for a *
      - skills.toml asks for b *
      - a 1.0.0 needs c ^1
      - b 1.0.0 needs d *
      - d 1.0.0 needs c ^2
      - d 1.1.0 needs c ^3
      - no version of c fits ^3 (available: 2.0.0, 1.0.0)
    ");
    let help = error.help().expect("advice");
    assert!(help.contains("another version of c,"), "{help}");
    assert!(help.contains("[overrides]"), "{help}");
}

#[test]
fn a_dependency_that_cannot_be_had_is_not_called_a_conflict_of_ranges() {
    let mut world = World::new(&["a 1.0.0: nowhere ^1", "b 1.0.0: c ^1", "c 1.0.0", "c 2.0.0"]);
    let help = world.error(&request(&["a"])).help().expect("advice");
    assert!(
        help.contains("a needs nowhere, which this registry does not have"),
        "{help}"
    );
    world.change("c", "1.0.0", |release| release.yanked = true);
    let help = world.error(&request(&["b"])).help().expect("advice");
    assert!(
        help.contains("every version of c that fits ^1 was withdrawn"),
        "{help}"
    );
}
