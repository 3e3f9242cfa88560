//! Extended headers (POSIX.1-2001, "pax Header Block"): which of their records are understood,
//! which are harmless, and which are refused.

use super::error::{EntryProblem, TarProblem};
use crate::tree::path::printable;

/// What an extended header says about the entry that follows.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: bool,
}

/// Records that say nothing about what is unpacked here.
const HARMLESS: [&[u8]; 9] = [
    b"atime",
    b"comment",
    b"ctime",
    b"gid",
    b"gname",
    b"linkpath",
    b"mtime",
    b"uid",
    b"uname",
];

/// Parses the extended header of one entry.
pub(super) fn parse_entry(payload: &[u8]) -> Result<Extended, TarProblem> {
    let mut extended = Extended::default();
    for record in Records(payload) {
        let (key, value) = record?;
        match key {
            b"path" if extended.path.is_some() => {
                return Err(TarProblem::PaxDuplicate { key: "path".into() });
            }
            b"size" if extended.size.is_some() => {
                return Err(TarProblem::PaxDuplicate { key: "size".into() });
            }
            b"path" => extended.path = Some(value.to_vec()),
            b"size" => extended.size = Some(decimal(value).ok_or(TarProblem::PaxSyntax)?),
            _ if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ if HARMLESS.contains(&key) || is_foreign(key) => {}
            b"hdrcharset" if value == b"ISO-IR 10646 2000 UTF-8" => {}
            _ => return Err(TarProblem::PaxKey { key: shown(key) }),
        }
    }
    Ok(extended)
}

/// Checks a header that holds for all entries after it. `git archive` writes one with the
/// commit as `comment`; anything with an effect is refused.
pub(super) fn check_global(payload: &[u8]) -> Result<(), TarProblem> {
    for record in Records(payload) {
        let (key, _) = record?;
        if key != b"comment" {
            return Err(TarProblem::GlobalHeader { key: shown(key) });
        }
    }
    Ok(())
}

impl Extended {
    /// What the extended header itself forbids, whatever the entry is.
    pub fn problem(&self) -> Option<EntryProblem> {
        self.sparse.then_some(EntryProblem::Sparse)
    }
}

/// Extended attributes and the like: a vendor's name in capitals, a dot, a key. GNU's own keys
/// change names, sizes and content, so they are not harmless.
fn is_foreign(key: &[u8]) -> bool {
    match key.iter().position(|byte| *byte == b'.') {
        Some(dot) => {
            dot > 0 && key[..dot].iter().all(u8::is_ascii_uppercase) && !key.starts_with(b"GNU.")
        }
        None => false,
    }
}

/// The records `LENGTH KEY=VALUE\n`, where the length counts the whole record.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), TarProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = split_record(self.0);
        // After an error there is no telling where the next record begins.
        self.0 = record.map_or(&[], |(_, _, rest)| rest);
        Some(
            record
                .map(|(key, value, _)| (key, value))
                .ok_or(TarProblem::PaxSyntax),
        )
    }
}

fn split_record(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = payload.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&payload[..space])?).ok()?;
    let (record, rest) = payload.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

/// Plain decimal digits, as many as a file's size can have.
fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn shown(key: &[u8]) -> String {
    printable(&String::from_utf8_lossy(key))
}

/// The record that gives an entry its path, as the writer needs it.
pub(super) fn path_record(path: &str) -> Vec<u8> {
    let rest = format!(" path={path}\n");
    // The length counts its own digits, which may add one more.
    let mut length = rest.len() + 1;
    while rest.len() + length.to_string().len() != length {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_by_their_lengths() {
        let extended = parse_entry(b"12 path=a b\n20 mtime=1700000000\n").expect("two records");
        assert_eq!(extended.path.as_deref(), Some(b"a b".as_slice()));
    }

    #[test]
    fn a_value_may_contain_line_breaks_and_equal_signs() {
        let extended = parse_entry(b"14 path=a=b\nc\n").expect("one record");
        assert_eq!(extended.path.as_deref(), Some(b"a=b\nc".as_slice()));
    }

    #[test]
    fn malformed_records_are_refused() {
        let bad: [&[u8]; 8] = [
            b"path=a\n",
            b"8 path=a\n",
            b"12 path=a\n",
            b"10 path=a\nx",
            b"5 =a\n",
            b"-1 a=b\n",
            b"\0\0\0",
            b"99999999999999999999 a=b\n",
        ];
        for payload in bad {
            assert_eq!(
                parse_entry(payload).err(),
                Some(TarProblem::PaxSyntax),
                "{:?}",
                payload.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_path_record_counts_its_own_digits() {
        for length in [0, 1, 88, 89, 90, 91, 987, 988, 989, 990, 991] {
            let path = "x".repeat(length);
            let extended = parse_entry(&path_record(&path)).expect("a record");
            assert_eq!(extended.path.as_deref(), Some(path.as_bytes()));
        }
    }
}
