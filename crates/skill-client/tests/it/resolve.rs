//! Choosing versions: what is chosen, what is left out and why, and what a person is told.

mod explanations;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use skill_client::Origin;
use skill_client::resolver::{
    PackageSource, Plan, ReleaseMeta, Request, Requirement, ResolveError, SourceError, resolve,
};
use skill_format::{Explain as _, Range, SkillName, Version};

/// Releases from lines like `charts 1.2.0: colors ^1, fonts *`.
#[derive(Debug, Default, Clone)]
struct World {
    releases: BTreeMap<SkillName, Vec<ReleaseMeta>>,
    asked: RefCell<Vec<String>>,
    at_once: Cell<usize>,
    at_once_max: Cell<usize>,
}

fn name(text: &str) -> SkillName {
    text.parse().expect(text)
}

fn range(text: &str) -> Range {
    text.parse().expect(text)
}

fn version(text: &str) -> Version {
    text.parse().expect(text)
}

fn registry() -> Origin {
    Origin::Registry("http://127.0.0.1:18801".into())
}

impl World {
    fn new(lines: &[&str]) -> Self {
        let mut world = Self::default();
        for line in lines {
            let (release, needs) = line.split_once(':').unwrap_or((line, ""));
            let (skill, number) = release.trim().split_once(' ').expect(line);
            let mut meta = ReleaseMeta::new(version(number), registry());
            meta.published_at = Some(Timestamp::UNIX_EPOCH);
            for need in needs.split(',').filter(|need| !need.trim().is_empty()) {
                let (skill, wanted) = need.trim().split_once(' ').expect(line);
                meta.dependencies.insert(name(skill), range(wanted));
            }
            world.add(skill, meta);
        }
        world
    }

    fn add(&mut self, skill: &str, meta: ReleaseMeta) {
        self.releases.entry(name(skill)).or_default().push(meta);
    }

    fn change(&mut self, skill: &str, number: &str, change: impl FnOnce(&mut ReleaseMeta)) {
        let releases = self.releases.get_mut(&name(skill)).expect("a skill");
        let wanted = version(number);
        change(
            releases
                .iter_mut()
                .find(|meta| meta.version == wanted)
                .expect("a release"),
        );
    }

    fn resolve(&self, request: &Request) -> Result<Plan, ResolveError> {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(resolve(request, self))
    }

    fn chosen(&self, request: &Request) -> Vec<String> {
        let plan = self
            .resolve(request)
            .unwrap_or_else(|error| panic!("{error}"));
        let mut chosen: Vec<String> = plan
            .skills
            .iter()
            .map(|planned| format!("{} {}", planned.name, planned.release.version))
            .collect();
        chosen.sort();
        chosen
    }

    fn error(&self, request: &Request) -> ResolveError {
        self.resolve(request).expect_err("there is no solution")
    }
}

impl PackageSource for World {
    async fn releases(&self, name: &SkillName) -> Result<Vec<ReleaseMeta>, SourceError> {
        self.asked.borrow_mut().push(name.to_string());
        self.at_once.set(self.at_once.get() + 1);
        self.at_once_max
            .set(self.at_once_max.get().max(self.at_once.get()));
        // The later in the alphabet, the sooner the answer: order must not matter.
        for _ in 0..(30 - name.as_str().bytes().last().unwrap_or(b'a') % 30) {
            tokio::task::yield_now().await;
        }
        self.at_once.set(self.at_once.get() - 1);
        self.releases
            .get(name)
            .cloned()
            .ok_or_else(|| SourceError::NotFound {
                nearest: self
                    .releases
                    .keys()
                    .map(SkillName::to_string)
                    .filter(|known| known.as_bytes()[0] == name.as_str().as_bytes()[0])
                    .collect(),
            })
    }
}

fn request(wishes: &[&str]) -> Request {
    let requirements = wishes
        .iter()
        .map(|wish| {
            let (skill, wanted) = wish.split_once(' ').unwrap_or((wish, "*"));
            Requirement {
                name: name(skill),
                range: range(wanted),
                origin: "skills.toml".into(),
            }
        })
        .collect();
    Request::new(
        requirements,
        "2026-11-01T00:00:00Z".parse().expect("a time"),
    )
}

#[test]
fn the_newest_versions_that_fit_are_chosen() {
    let world = World::new(&[
        "report 1.0.0: charts ^1",
        "report 2.0.0: charts ^2",
        "charts 1.0.0",
        "charts 1.4.0",
        "charts 2.0.0",
        "charts 2.1.0",
    ]);
    assert_eq!(
        world.chosen(&request(&["report"])),
        ["charts 2.1.0", "report 2.0.0"]
    );
    assert_eq!(
        world.chosen(&request(&["report", "charts <2"])),
        ["charts 1.4.0", "report 1.0.0"]
    );
}

#[test]
fn what_is_needed_comes_before_what_needs_it() {
    let world = World::new(&["a 1.0.0: c *, b *", "b 1.0.0: c *", "c 1.0.0"]);
    let plan = world.resolve(&request(&["a"])).expect("a plan");
    let order: Vec<&str> = plan
        .skills
        .iter()
        .map(|planned| planned.name.as_str())
        .collect();
    assert_eq!(order, ["c", "b", "a"]);
}

#[test]
fn a_cycle_is_no_obstacle() {
    let world = World::new(&[
        "a 1.0.0: b ^1",
        "b 1.0.0: c ^1",
        "c 1.0.0: a ^1",
        "b 1.1.0: b ^1, c ^1",
    ]);
    assert_eq!(
        world.chosen(&request(&["a"])),
        ["a 1.0.0", "b 1.1.0", "c 1.0.0"]
    );
}

#[test]
fn a_version_that_needs_another_of_itself_is_passed_over() {
    let world = World::new(&["a 1.0.0", "a 2.0.0: a ^1"]);
    assert_eq!(world.chosen(&request(&["a"])), ["a 1.0.0"]);
    let error = world.error(&request(&["a ^2"])).to_string();
    assert!(
        error.contains("a 2.0.0 cannot be used: it needs another version of itself"),
        "{error}"
    );
}

#[test]
fn the_locked_version_is_kept_while_it_fits() {
    let world = World::new(&["a 1.0.0", "a 1.1.0", "a 2.0.0"]);
    let mut request = request(&["a ^1"]);
    request.locked.insert(name("a"), version("1.0.0"));
    let plan = world.resolve(&request).expect("a plan");
    let planned = plan.get(&name("a")).expect("planned");
    assert_eq!(
        (planned.release.version.to_string().as_str(), planned.kept),
        ("1.0.0", true)
    );
    let held = planned.held_back.as_ref().expect("newer ones exist");
    assert_eq!(held.newest, version("2.0.0"));
    assert_eq!(held.by[0].to_string(), "skills.toml asks for ^1");

    request.requirements[0].range = range("^2");
    assert_eq!(world.chosen(&request), ["a 2.0.0"]);
}

#[test]
fn a_yanked_version_is_kept_by_a_lock_and_chosen_by_nobody() {
    let mut world = World::new(&["a 1.0.0", "a 1.1.0"]);
    world.change("a", "1.1.0", |meta| {
        meta.yanked = true;
        meta.yank_reason = Some("leaks a token".into());
    });
    assert_eq!(world.chosen(&request(&["a"])), ["a 1.0.0"]);
    let mut locked = request(&["a"]);
    locked.locked.insert(name("a"), version("1.1.0"));
    assert_eq!(world.chosen(&locked), ["a 1.1.0"]);
    let error = world.error(&request(&["a =1.1.0"]));
    assert_eq!(error.code(), "no-matching-version");
    assert_eq!(
        error.help().as_deref(),
        Some("1.1.0 was yanked: leaks a token; available: 1.0.0")
    );
}

#[test]
fn prereleases_are_chosen_only_where_they_are_named() {
    let world = World::new(&[
        "a 1.0.0",
        "a 1.1.0-rc.1",
        "b 2.0.0-beta.1",
        "c 1.0.0: a >=1.1.0-rc.0",
    ]);
    assert_eq!(world.chosen(&request(&["a"])), ["a 1.0.0"]);
    assert_eq!(
        world.chosen(&request(&["a >=1.1.0-rc.1"])),
        ["a 1.1.0-rc.1"]
    );
    assert_eq!(world.chosen(&request(&["c"])), ["a 1.1.0-rc.1", "c 1.0.0"]);
    let help = world.error(&request(&["b"])).help().expect("advice");
    assert!(help.contains("as in b@2.0.0-beta.1"), "{help}");
}

#[test]
fn a_folder_is_taken_whatever_its_version_is() {
    let mut world = World::new(&[]);
    world.add(
        "a",
        ReleaseMeta::new(version("0.1.0-dev"), Origin::Dir("/src/a".into())),
    );
    let mut request = request(&["a"]);
    request.minimum_age = Some(SignedDuration::from_hours(72));
    assert_eq!(world.chosen(&request), ["a 0.1.0-dev"]);
}

#[test]
fn releases_younger_than_the_minimum_age_wait_unless_locked() {
    let mut world = World::new(&["a 1.0.0", "a 1.1.0"]);
    world.change("a", "1.1.0", |meta| {
        meta.published_at = Some("2026-10-31T21:00:00Z".parse().expect("a time"));
    });
    let mut young = request(&["a"]);
    young.minimum_age = Some(SignedDuration::from_hours(24));
    assert_eq!(world.chosen(&young), ["a 1.0.0"]);
    let mut exact = young.clone();
    exact.requirements[0].range = range("1.1.0");
    let help = world.error(&exact).help().expect("advice");
    assert!(help.contains("1.1.0 is 3 hours old"), "{help}");
    exact.locked.insert(name("a"), version("1.1.0"));
    assert_eq!(world.chosen(&exact), ["a 1.1.0"]);
}

#[test]
fn an_override_replaces_what_skills_ask_for() {
    let world = World::new(&["a 1.0.0: b ^1", "b 1.0.0", "b 2.0.0"]);
    let mut request = request(&["a"]);
    request.overrides.insert(name("b"), range("^2"));
    let plan = world.resolve(&request).expect("a plan");
    let planned = plan.get(&name("b")).expect("planned");
    assert_eq!(planned.release.version, version("2.0.0"));
    assert_eq!(
        planned.reasons[0].to_string(),
        "a 1.0.0 needs ^1 (overridden by ^2)"
    );
}

#[test]
fn build_metadata_does_not_make_another_version() {
    let world = World::new(&["a 1.0.0", "a 1.0.0+b7"]);
    let mut locked = request(&["a =1.0.0"]);
    assert_eq!(world.resolve(&locked).expect("a plan").skills.len(), 1);
    locked.locked.insert(name("a"), version("1.0.0+other"));
    assert!(world.resolve(&locked).expect("a plan").skills[0].kept);
}

#[test]
fn the_plan_says_why_a_skill_is_there() {
    let world = World::new(&["a 1.0.0: b *", "b 1.0.0: c ^1", "c 1.0.0: b *"]);
    let plan = world.resolve(&request(&["a"])).expect("a plan");
    let wanted = name("c");
    let chain: Vec<String> = plan
        .why(&wanted)
        .into_iter()
        .map(|(skill, reason)| format!("{skill}: {reason}"))
        .collect();
    assert_eq!(
        chain,
        [
            "a: skills.toml asks for *",
            "b: a 1.0.0 needs *",
            "c: b 1.0.0 needs ^1"
        ]
    );
    assert!(plan.why(&name("zebra")).is_empty());
}

#[test]
fn only_what_is_likely_to_be_needed_is_fetched_and_in_parallel() {
    let world = World::new(&[
        "a 1.0.0: old *",
        "a 2.0.0: b *, c *, d *",
        "b 1.0.0",
        "c 1.0.0",
        "d 1.0.0",
        "old 1.0.0",
    ]);
    world.chosen(&request(&["a"]));
    let mut asked = world.asked.borrow().clone();
    asked.sort();
    assert_eq!(asked, ["a", "b", "c", "d"]);
    assert_eq!(world.at_once_max.get(), 3);
}

#[test]
fn stepping_back_fetches_what_old_versions_need() {
    let world = World::new(&[
        "a 1.0.0: old ^1",
        "a 2.0.0: c ^2",
        "old 1.0.0: older ^1",
        "older 1.0.0",
        "c 1.0.0",
        "c 2.0.0",
    ]);
    assert_eq!(
        world.chosen(&request(&["a", "c ^1"])),
        ["a 1.0.0", "c 1.0.0", "old 1.0.0", "older 1.0.0"]
    );
}

#[test]
fn a_source_that_fails_stops_with_its_reason() {
    struct Down;
    impl PackageSource for Down {
        async fn releases(&self, _: &SkillName) -> Result<Vec<ReleaseMeta>, SourceError> {
            Err(SourceError::Unavailable("connection refused".into()))
        }
    }
    let error = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(resolve(&request(&["a"]), &Down))
        .expect_err("down");
    assert_eq!(error.code(), "releases-unavailable");
    let source = std::error::Error::source(&error).expect("a cause");
    assert_eq!(source.to_string(), "connection refused");
}

/// A thousand skills in layers, each needing five of the next layer, ten versions each.
fn thousand() -> World {
    let mut world = World::default();
    for number in 0..1000u32 {
        for minor in 0..10u64 {
            let mut meta = ReleaseMeta::new(Version::new(1, minor, 0), registry());
            let layer_end = (number / 100 + 1) * 100;
            for step in 0..5u32 {
                let needed = layer_end + (number * 7 + step * 13) % 100;
                if needed < 1000 {
                    let oldest = minor.saturating_sub(3);
                    meta.dependencies
                        .insert(name(&format!("s{needed}")), range(&format!("^1.{oldest}")));
                }
            }
            world.add(&format!("s{number}"), meta);
        }
    }
    world
}

#[test]
fn a_thousand_skills_are_resolved_asking_once_for_each() {
    let world = thousand();
    let wishes: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
    let wishes: Vec<&str> = wishes.iter().map(String::as_str).collect();
    let plan = world.resolve(&request(&wishes)).expect("a plan");
    assert!(plan.skills.len() > 900);
    assert!(
        plan.skills
            .iter()
            .all(|planned| planned.release.version.minor == 9)
    );
    assert_eq!(world.asked.borrow().len(), plan.skills.len());
}

#[test]
fn a_long_way_back_is_found() {
    // Every version of `a` but the oldest needs a `b` that `c` rules out, one by one.
    let mut world = World::new(&["c 1.0.0: b =1.0.0"]);
    for minor in 0..500u64 {
        let mut a = ReleaseMeta::new(Version::new(1, minor, 0), registry());
        a.dependencies
            .insert(name("b"), range(&format!("=1.{minor}.0")));
        world.add("a", a);
        world.add("b", ReleaseMeta::new(Version::new(1, minor, 0), registry()));
    }
    assert_eq!(
        world.chosen(&request(&["a", "c"])),
        ["a 1.0.0", "b 1.0.0", "c 1.0.0"]
    );
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const RANGES: [&str; 7] = ["*", "^1", "^2", "1.0.0", ">=1.1.0", "<2", "3"];
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "2.0.0", "3.0.0"];

fn any_world() -> impl Strategy<Value = World> {
    let need = (0..NAMES.len(), 0..RANGES.len());
    let release = (
        0..NAMES.len(),
        0..VERSIONS.len(),
        proptest::collection::vec(need, 0..4),
    );
    proptest::collection::vec(release, 0..16).prop_map(|releases| {
        let mut world = World::default();
        for (skill, number, needs) in releases {
            let mut meta = ReleaseMeta::new(version(VERSIONS[number]), registry());
            for (needed, wanted) in needs {
                meta.dependencies
                    .insert(name(NAMES[needed]), range(RANGES[wanted]));
            }
            let known = world.releases.get(&name(NAMES[skill]));
            if !known.is_some_and(|all| all.iter().any(|other| other.version == meta.version)) {
                world.add(NAMES[skill], meta);
            }
        }
        world
    })
}

/// Whether any choice of versions satisfies the wishes, by trying all of them.
fn brute_force(world: &World, wishes: &[(SkillName, Range)]) -> bool {
    fn try_from(
        world: &World,
        open: Vec<(SkillName, Range)>,
        chosen: &mut BTreeMap<SkillName, Version>,
    ) -> bool {
        let mut open = open;
        let Some((skill, wanted)) = open.pop() else {
            return true;
        };
        if let Some(version) = chosen.get(&skill) {
            return wanted.matches(version) && try_from(world, open, chosen);
        }
        for meta in world.releases.get(&skill).into_iter().flatten() {
            if wanted.matches(&meta.version) {
                chosen.insert(skill.clone(), meta.version.clone());
                let mut next = open.clone();
                next.extend(meta.dependencies.clone());
                if try_from(world, next, chosen) {
                    return true;
                }
                chosen.remove(&skill);
            }
        }
        false
    }
    try_from(world, wishes.to_vec(), &mut BTreeMap::new())
}

fn assert_sound(world: &World, wishes: &[(SkillName, Range)], plan: &Plan) {
    let chosen: BTreeMap<_, _> = plan
        .skills
        .iter()
        .map(|planned| (planned.name.clone(), planned.release.clone()))
        .collect();
    assert_eq!(chosen.len(), plan.skills.len(), "each skill once");
    for (skill, wanted) in wishes {
        assert!(wanted.matches(&chosen[skill].version));
    }
    for (skill, release) in &chosen {
        assert!(world.releases[skill].contains(release));
        for (needed, wanted) in &release.dependencies {
            assert!(
                wanted.matches(&chosen[needed].version),
                "{skill} needs {needed} {wanted}"
            );
        }
        let why = plan.why(skill);
        assert!(
            wishes.iter().any(|(wish, _)| wish == why[0].0),
            "{skill} is there for a reason"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn finds_a_solution_exactly_when_there_is_one(
        world in any_world(),
        wishes in proptest::collection::vec((0..NAMES.len(), 0..RANGES.len()), 1..4),
    ) {
        let wishes: Vec<(SkillName, Range)> = wishes
            .into_iter()
            .map(|(skill, wanted)| (name(NAMES[skill]), range(RANGES[wanted])))
            .collect();
        let mut request = request(&[]);
        request.requirements = wishes
            .iter()
            .map(|(skill, wanted)| Requirement {
                name: skill.clone(),
                range: wanted.clone(),
                origin: "skills.toml".into(),
            })
            .collect();
        let solvable = brute_force(&world, &wishes);
        match world.resolve(&request) {
            Ok(plan) => {
                prop_assert!(solvable);
                assert_sound(&world, &wishes, &plan);
                prop_assert_eq!(world.resolve(&request).expect("again"), plan.clone());
                // What was chosen once is kept, whatever the order of decisions.
                for planned in &plan.skills {
                    request.locked.insert(planned.name.clone(), planned.release.version.clone());
                }
                let locked = world.resolve(&request).expect("locked");
                for planned in &locked.skills {
                    prop_assert!(planned.kept);
                }
            }
            Err(error) => {
                prop_assert!(!solvable, "{}", error);
                prop_assert!(error.help().is_some());
                if let ResolveError::Conflict { advice, .. } = &error {
                    for advice in advice {
                        let mut changed = request.clone();
                        let wish = changed.requirements.iter_mut().find(|wish| {
                            wish.name == advice.skill && wish.range == advice.from
                        }).expect("advice is about a requirement");
                        wish.range = Range::exact(&advice.version);
                        prop_assert!(world.resolve(&changed).is_ok(), "{}", advice);
                    }
                }
            }
        }
    }
}
