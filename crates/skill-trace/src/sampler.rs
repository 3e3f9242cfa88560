//! Which traces are recorded, by OpenTelemetry's rules.

use crate::context::TraceContext;

/// What becomes of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Record,
    Drop,
}

/// Decides at a trace's beginning here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    root: Root,
    /// Do as the caller does, where there is one.
    follows_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Root {
    Always,
    Never,
    /// Trace ids whose last 63 bits are below this.
    Below(u64),
}

impl Default for Sampler {
    /// OpenTelemetry's: `parentbased_always_on`.
    fn default() -> Self {
        Self {
            root: Root::Always,
            follows_parent: true,
        }
    }
}

impl Sampler {
    /// By the names and the argument of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. Without an argument
    /// a ratio is 1.
    ///
    /// # Errors
    /// Says what is wrong with which of the two.
    pub fn from_names(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::Always,
            "always_off" => Root::Never,
            "traceidratio" => Root::Below(threshold(argument.unwrap_or("1"))?),
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER is `{name}`; there are always_on, always_off, traceidratio, and each with parentbased_ in front"
                ));
            }
        };
        Ok(Self {
            root,
            follows_parent,
        })
    }

    pub(crate) fn decide(&self, trace_id: &[u8; 16], parent: Option<&TraceContext>) -> Decision {
        let records = match (parent, self.root) {
            (Some(parent), _) if self.follows_parent => parent.is_sampled(),
            (_, Root::Always) => true,
            (_, Root::Never) => false,
            (_, Root::Below(limit)) => {
                let mut last = [0; 8];
                last.copy_from_slice(&trace_id[8..]);
                u64::from_be_bytes(last) >> 1 < limit
            }
        };
        if records {
            Decision::Record
        } else {
            Decision::Drop
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and 2^63.
fn threshold(argument: &str) -> Result<u64, String> {
    const WHOLE: f64 = (1_u64 << 63) as f64;
    let ratio: f64 = argument.trim().parse().unwrap_or(f64::NAN);
    if (0.0..=1.0).contains(&ratio) {
        return Ok((ratio * WHOLE) as u64);
    }
    Err(format!(
        "OTEL_TRACES_SAMPLER_ARG is `{argument}`; give a number from 0 to 1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(name: &str, argument: Option<&str>, last: u64, parent: Option<bool>) -> Decision {
        let mut trace_id = [7; 16];
        trace_id[8..].copy_from_slice(&last.to_be_bytes());
        let parent = parent.map(|sampled| TraceContext::new(trace_id, [1; 8], sampled));
        let sampler = Sampler::from_names(name, argument).unwrap();
        sampler.decide(&trace_id, parent.as_ref())
    }

    #[test]
    fn samplers_decide_by_parent_and_by_ratio() {
        use Decision::{Drop, Record};
        assert_eq!(decide("always_on", None, 0, Some(false)), Record);
        assert_eq!(decide("always_off", None, 0, Some(true)), Drop);
        assert_eq!(
            decide("parentbased_always_off", None, 0, Some(true)),
            Record
        );
        assert_eq!(decide("parentbased_always_on", None, 0, Some(false)), Drop);
        assert_eq!(decide("parentbased_always_on", None, 0, None), Record);
        let half = u64::MAX / 2;
        assert_eq!(decide("traceidratio", Some("0.5"), half - 9, None), Record);
        assert_eq!(decide("traceidratio", Some("0.5"), half + 9, None), Drop);
        assert_eq!(decide("traceidratio", None, u64::MAX, None), Record);
        assert_eq!(decide("traceidratio", Some("0"), 0, None), Drop);
    }

    #[test]
    fn what_is_no_sampler_is_named() {
        let error = Sampler::from_names("jaeger_remote", None).unwrap_err();
        assert!(error.contains("OTEL_TRACES_SAMPLER") && error.contains("parentbased_"));
        for wrong in ["2", "-0.1", "half", ""] {
            let error = Sampler::from_names("traceidratio", Some(wrong)).unwrap_err();
            assert!(error.contains("OTEL_TRACES_SAMPLER_ARG"), "{error}");
        }
    }
}
