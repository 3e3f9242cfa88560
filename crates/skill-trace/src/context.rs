//! What goes from program to program: the W3C's `traceparent` and `tracestate`
//! (<https://www.w3.org/TR/trace-context/>), read strictly, within bounds, and never with an error: who sends
//! nonsense begins no trace and gets an answer all the same.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// `00-<32>-<16>-<2>`.
const TRACEPARENT_BYTES: usize = 55;
/// Later versions may be longer; ours are not interested in what follows.
const TRACEPARENT_BYTES_MAX: usize = 256;
/// What the recommendation asks everybody to pass on at least; more is dropped.
const TRACESTATE_BYTES_MAX: usize = 512;
const TRACESTATE_MEMBERS_MAX: usize = 32;
/// Sampled, and the trace id is random (level 2).
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// A place in a trace: the span that whatever comes next is a child of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// A span of a new trace. Ids of zeros are none; they are made ones here.
    pub(crate) fn new(trace_id: [u8; 16], span_id: [u8; 8], is_sampled: bool) -> Self {
        Self {
            trace_id: nonzero(trace_id),
            span_id: nonzero(span_id),
            flags: u8::from(is_sampled),
            state: None,
        }
    }

    /// Another span of the same trace.
    pub(crate) fn child(&self, span_id: [u8; 8], is_sampled: bool) -> Self {
        Self {
            span_id: nonzero(span_id),
            flags: (self.flags & !SAMPLED) | u8::from(is_sampled),
            ..self.clone()
        }
    }

    /// Reads the two values as they come in headers, members of a message or variables. Nothing where
    /// `traceparent` is not valid; a `tracestate` that is not valid is left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let text = traceparent.trim_matches([' ', '\t']);
        let bytes = text.as_bytes();
        if bytes.len() < TRACEPARENT_BYTES || bytes.len() > TRACEPARENT_BYTES_MAX {
            return None;
        }
        let (known, rest) = bytes.split_at(TRACEPARENT_BYTES);
        let [version] = hex::<1>(&known[..2])?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if !fits || !dashes {
            return None;
        }
        let trace_id = hex::<16>(&known[3..35])?;
        let span_id = hex::<8>(&known[36..52])?;
        let [flags] = hex::<1>(&known[53..])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            flags: flags & KNOWN_FLAGS,
            state: tracestate.and_then(state).map(Arc::from),
        })
    }

    /// As the recommendation's version 00 has it.
    pub fn traceparent(&self) -> String {
        let mut text = String::with_capacity(TRACEPARENT_BYTES);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push('-');
        push_hex(&mut text, &[self.flags]);
        text
    }

    /// What other tracing systems have added, as it came.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(crate) fn trace_id(&self) -> &[u8; 16] {
        &self.trace_id
    }

    pub(crate) fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    pub(crate) fn flags(&self) -> u8 {
        self.flags
    }
}

/// As members of a message: `"traceparent": …`, and `"tracestate": …` where there is one.
impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + usize::from(self.state.is_some())))?;
        map.serialize_entry("traceparent", &self.traceparent())?;
        if let Some(state) = &self.state {
            map.serialize_entry("tracestate", &**state)?;
        }
        map.end()
    }
}

/// The list as it is, if it is one. Its members' grammar is their authors' matter; that no byte can do harm in
/// a header, a message or a variable is ours.
fn state(text: &str) -> Option<&str> {
    let text = text.trim_matches([' ', '\t']);
    let plain = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    let is_list = text.split(',').all(|member| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty()
            || member
                .split_once('=')
                .is_some_and(|(key, _)| !key.is_empty())
    });
    let fits = !text.is_empty()
        && text.len() <= TRACESTATE_BYTES_MAX
        && text.split(',').count() <= TRACESTATE_MEMBERS_MAX;
    (fits && is_list && text.bytes().all(plain)).then_some(text)
}

fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

/// Lower case only, as the recommendation demands.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_recommendations_example_is_read_and_written_as_it_was() {
        let context =
            TraceContext::parse(EXAMPLE, Some("congo=t61rcWkgMzE,rojo=00f067aa")).unwrap();
        assert_eq!(context.traceparent(), EXAMPLE);
        assert_eq!(
            context.tracestate(),
            Some("congo=t61rcWkgMzE,rojo=00f067aa")
        );
        assert!(context.is_sampled());
        let json = serde_json::to_value(&context).unwrap();
        assert_eq!(json["traceparent"], EXAMPLE);
        let not = TraceContext::parse(&EXAMPLE.replace("-01", "-00"), None).unwrap();
        assert!(!not.is_sampled());
        assert_eq!(
            serde_json::to_value(&not)
                .unwrap()
                .as_object()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn what_is_no_traceparent_begins_no_trace() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        assert!(TraceContext::parse(&later, None).is_some());
        assert!(TraceContext::parse(&format!("{later}-what-comes"), None).is_some());
        assert!(TraceContext::parse(&format!("{later}.what"), None).is_none());
        for wrong in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0€",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong, None), None, "{wrong}");
        }
        assert_eq!(
            TraceContext::parse(&format!("{later}-{}", "x".repeat(4096)), None),
            None
        );
    }

    #[test]
    fn a_tracestate_that_could_do_harm_is_left_out() {
        let of = |state: &str| {
            let context = TraceContext::parse(EXAMPLE, Some(state)).unwrap();
            context.tracestate().map(str::to_owned)
        };
        assert_eq!(of(" a=1 , b=2 "), Some("a=1 , b=2".to_owned()));
        for wrong in [
            "",
            "a",
            "=1",
            "a=1\nb=2",
            "a=\0",
            "a=é",
            &"a=1,".repeat(33),
            &format!("a={}", "x".repeat(600)),
        ] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_passed_over(parent: String, state: String) {
            let _ = TraceContext::parse(&parent, Some(&state));
        }

        #[test]
        fn what_is_written_is_read(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            let context = TraceContext::new(trace, span, sampled);
            prop_assert_eq!(TraceContext::parse(&context.traceparent(), None), Some(context));
        }
    }
}
