//! The solver's view of the universe. Knows PubGrub, and nothing of explanations.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use pubgrub::{
    Dependencies, DependencyProvider, DerivationTree, PackageResolutionStatistics, PubGrubError,
};
use skill_format::Range;

use super::universe::{Known, PackageId, Releases, Universe};

/// Why a version cannot be used whatever else is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NeedsOtherSelf;

impl fmt::Display for NeedsOtherSelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it needs another version of itself")
    }
}

pub(super) type Tree = DerivationTree<PackageId, Releases, NeedsOtherSelf>;

#[derive(Debug)]
pub(super) enum Unsolved {
    Conflict(Tree),
    /// Given up after [`STEPS_MAX`].
    TooHard,
    /// The solver got to skills of which nothing has been fetched yet.
    Missing(Vec<PackageId>),
}

/// Decisions that the solver may take. Choosing versions is NP-complete, and the graph may come
/// from someone who wishes us ill. A graph of 1,000 skills with 10 versions each takes 1,000
/// decisions if nothing clashes and some 10,000 if every version of every skill has to be tried.
const STEPS_MAX: u32 = 100_000;

/// Why the solver was stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error("metadata is missing")]
    Missing(Vec<PackageId>),
    #[error("too many steps")]
    TooHard,
}

/// Chosen positions, without the root.
pub(super) type Chosen = BTreeMap<PackageId, u32>;

pub(super) fn solve(universe: &Universe<'_>) -> Result<Chosen, Unsolved> {
    solve_relaxed(universe, None)
}

/// Solves as if the requirements at these indices allowed every version.
pub(super) fn solve_relaxed(
    universe: &Universe<'_>,
    relaxed: Option<&[usize]>,
) -> Result<Chosen, Unsolved> {
    let provider = Provider {
        universe,
        relaxed,
        steps: Cell::new(0),
    };
    match pubgrub::resolve(&provider, PackageId::ROOT, 0u32) {
        Ok(selected) => Ok(selected
            .into_iter()
            .filter(|(id, _)| *id != PackageId::ROOT)
            .collect()),
        Err(PubGrubError::NoSolution(tree)) => Err(Unsolved::Conflict(tree)),
        Err(
            PubGrubError::ErrorRetrievingDependencies { source, .. }
            | PubGrubError::ErrorChoosingVersion { source, .. }
            | PubGrubError::ErrorInShouldCancel(source),
        ) => Err(match source {
            Interrupted::Missing(names) => Unsolved::Missing(names),
            Interrupted::TooHard => Unsolved::TooHard,
        }),
    }
}

struct Provider<'u, 'r> {
    universe: &'u Universe<'r>,
    relaxed: Option<&'u [usize]>,
    steps: Cell<u32>,
}

impl Provider<'_, '_> {
    fn root_dependencies(&self) -> Vec<(PackageId, Releases)> {
        let relaxed = |index: usize| self.relaxed.is_some_and(|indices| indices.contains(&index));
        self.universe
            .request
            .requirements
            .iter()
            .enumerate()
            .filter_map(|(index, wish)| {
                let id = self.universe.id(&wish.name)?;
                if relaxed(index) {
                    return Some((id, self.universe.allowed(id, &Range::any())));
                }
                Some((id, self.universe.allowed(id, &wish.range)))
            })
            .collect()
    }
}

impl DependencyProvider for Provider<'_, '_> {
    type P = PackageId;
    type V = u32;
    type VS = Releases;
    type M = NeedsOtherSelf;
    type Err = Interrupted;
    /// Skills in many conflicts first, since they decide whether the rest can fit; then in the
    /// order of discovery, so that what was asked for directly gets its newest version.
    type Priority = (u32, Reverse<PackageId>);

    fn prioritize(
        &self,
        package: &PackageId,
        _range: &Releases,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        (statistics.conflict_count(), Reverse(*package))
    }

    fn should_cancel(&self) -> Result<(), Interrupted> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            return Err(Interrupted::TooHard);
        }
        Ok(())
    }

    fn choose_version(
        &self,
        package: &PackageId,
        range: &Releases,
    ) -> Result<Option<u32>, Interrupted> {
        if *package == PackageId::ROOT {
            return Ok(Some(0));
        }
        Ok(self.universe.preferred(*package, range))
    }

    fn get_dependencies(
        &self,
        package: &PackageId,
        version: &u32,
    ) -> Result<Dependencies<PackageId, Releases, NeedsOtherSelf>, Interrupted> {
        if *package == PackageId::ROOT {
            return Ok(Dependencies::Available(
                self.root_dependencies().into_iter().collect(),
            ));
        }
        let mut missing = Vec::new();
        let mut dependencies = Vec::new();
        for (id, range) in self.universe.dependencies(*package, *version) {
            if matches!(self.universe.package(id).known, Known::Not) {
                missing.push(id);
                continue;
            }
            let allowed = self.universe.allowed(id, range);
            if id != *package {
                dependencies.push((id, allowed));
            } else if !allowed.contains(version) {
                return Ok(Dependencies::Unavailable(NeedsOtherSelf));
            }
        }
        if !missing.is_empty() {
            return Err(Interrupted::Missing(missing));
        }
        Ok(Dependencies::Available(dependencies.into_iter().collect()))
    }
}
