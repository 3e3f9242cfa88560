//! Times the resolver on graphs of 1,000 skills, for `cargo xtask bench resolver`. Prints one line
//! per graph: what it is, a tab, the median time in milliseconds.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use jiff::Timestamp;
use skill_client::Origin;
use skill_client::resolver::{
    PackageSource, ReleaseMeta, Request, Requirement, SourceError, resolve,
};
use skill_format::{SkillName, Version};

const SKILLS: usize = 1_000;
const RUNS: usize = 15;

/// All releases in memory: only the solving is timed.
struct Releases(BTreeMap<SkillName, Vec<ReleaseMeta>>);

impl PackageSource for Releases {
    async fn releases(&self, name: &SkillName) -> Result<Vec<ReleaseMeta>, SourceError> {
        self.0.get(name).cloned().ok_or(SourceError::NotFound {
            nearest: Vec::new(),
        })
    }
}

fn name(number: usize) -> SkillName {
    format!("skill-{number}").parse().expect("a valid name")
}

fn release(version: String, needs: Vec<(usize, String)>) -> ReleaseMeta {
    let version: Version = version.parse().expect("a valid version");
    let mut release = ReleaseMeta::new(
        version,
        Origin::Registry("https://registry.example.org".to_owned()),
    );
    release.dependencies = needs
        .into_iter()
        .map(|(number, range)| (name(number), range.parse().expect("a valid range")))
        .collect();
    release
}

/// Ten versions each; every one needs three later skills, in ranges that the newest versions fulfil.
fn wide() -> Releases {
    let skill = |number: usize| {
        let versions = (0..10).map(|minor| {
            let needs = [1, 7, 31]
                .into_iter()
                .map(|step| number + step)
                .filter(|other| *other < SKILLS)
                .map(|other| (other, format!("^1.{}", (number + minor) % 8)));
            release(format!("1.{minor}.0"), needs.collect())
        });
        (name(number), versions.collect())
    };
    Releases((0..SKILLS).map(skill).collect())
}

/// A chain in which the newer half of every skill's versions asks for what does not go together, so
/// that the solver has to learn from conflicts all the way.
fn stubborn() -> Releases {
    let skill = |number: usize| {
        let versions = (0..10).map(|minor| {
            let mut needs = Vec::new();
            if number + 1 < SKILLS {
                needs.push((number + 1, format!("<=1.{minor}.0")));
            }
            if minor >= 5 && number + 2 < SKILLS {
                needs.push((number + 2, format!(">1.{minor}.0")));
            }
            release(format!("1.{minor}.0"), needs)
        });
        (name(number), versions.collect())
    };
    Releases((0..SKILLS).map(skill).collect())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for (what, releases) in [
        ("a wide graph of 1,000 skills", wide()),
        ("1,000 skills with conflicts", stubborn()),
    ] {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let requirement = Requirement {
                name: name(0),
                range: "*".parse()?,
                origin: "the benchmark".to_owned(),
            };
            let started = Instant::now();
            let plan = resolve(
                &Request::new(vec![requirement], Timestamp::UNIX_EPOCH),
                &releases,
            )
            .await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(plan.skills.len(), SKILLS, "the whole graph is needed");
        }
        times.sort_by(f64::total_cmp);
        println!("{what}\t{:.2}", times[RUNS / 2]);
    }
    Ok(())
}
