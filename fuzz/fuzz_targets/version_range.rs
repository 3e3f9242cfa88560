//! Any text as a version and as a range: what is written is read back, and a range's intervals
//! agree with what it matches.

#![no_main]

use std::ops::RangeBounds as _;

use libfuzzer_sys::fuzz_target;
use skill_format::{Range, parse_version, version_identity};

fuzz_target!(|text: &str| {
    // The first line is a range, the second a version to try on it.
    let (range, version) = text.split_once('\n').unwrap_or((text, text));
    let version = parse_version(version);
    if let Ok(version) = &version {
        assert_eq!(parse_version(&version.to_string()).as_ref(), Ok(version));
        let identity = parse_version(&version_identity(version)).expect("a version");
        assert!(Range::exact(version).matches(&identity));
    }
    let Ok(range) = range.parse::<Range>() else {
        return;
    };
    assert_eq!(range.to_string().parse::<Range>().as_ref(), Ok(&range));
    let intervals = range.intervals();
    if let Ok(version) = version
        && version.build.is_empty()
    {
        let count = intervals
            .iter()
            .filter(|interval| interval.contains(&version))
            .count();
        assert!(count <= 1, "the intervals overlap");
        if version.pre.is_empty() {
            assert_eq!(range.matches(&version), count == 1);
        }
    }
});
