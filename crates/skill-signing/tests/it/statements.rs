//! The one byte form of a statement.

use skill_format::Sha256;
use skill_signing::{Statement, StatementError};

const TEXT: &str = "skills statement 1
name: csv-analyzer
version: 1.2.3
sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
size: 3
";

#[test]
fn a_statement_is_this_text() {
    let name = "csv-analyzer".parse().unwrap();
    let statement = Statement::about(&name, &"1.2.3".parse().unwrap(), b"abc");
    assert_eq!(statement.to_string(), TEXT);
    let parsed = Statement::parse(TEXT.as_bytes()).unwrap();
    assert_eq!(parsed, statement);
    assert_eq!(parsed.name().as_str(), "csv-analyzer");
    assert_eq!(parsed.version().to_string(), "1.2.3");
    assert_eq!(parsed.sha256(), Sha256::of(b"abc"));
    assert_eq!(parsed.size(), 3);
}

#[test]
fn build_metadata_is_not_part_of_a_statement() {
    let name = "csv-analyzer".parse().unwrap();
    let with = Statement::about(&name, &"1.2.3+linux".parse().unwrap(), b"abc");
    assert_eq!(with.to_string(), TEXT);
    assert_eq!(with, Statement::parse(TEXT.as_bytes()).unwrap());
    let pre = Statement::about(&name, &"1.2.3-rc.1+linux".parse().unwrap(), b"abc");
    assert!(pre.to_string().contains("version: 1.2.3-rc.1\n"));
}

#[test]
fn any_other_form_is_refused() {
    let changed = |from: &str, to: &str| {
        assert!(TEXT.contains(from), "{from}");
        Statement::parse(TEXT.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(
        changed("1.2.3", "1.2.3+linux"),
        StatementError::NotCanonical
    );
    assert_eq!(changed("ba78", "BA78"), StatementError::NotCanonical);
    assert_eq!(
        changed("sha256: ", "sha256: sha256:"),
        StatementError::NotCanonical
    );
    assert_eq!(changed("size: 3", "size: 03"), StatementError::NotCanonical);
    assert_eq!(changed("size: 3", "size: +3"), StatementError::NotCanonical);
    assert_eq!(
        changed("size: 3\n", "size: 3\n\n"),
        StatementError::NotCanonical
    );
    assert_eq!(
        changed("size: 3\n", "size: 3\nmore: 1\n"),
        StatementError::NotCanonical
    );
    assert_eq!(
        changed("size: 3\n", "size: 3"),
        StatementError::Field { name: "size" }
    );
    assert_eq!(
        changed("size: 3", "size: -3"),
        StatementError::Field { name: "size" }
    );
    assert_eq!(
        changed("size: 3", "size: 18446744073709551616"),
        StatementError::Field { name: "size" }
    );
    assert_eq!(
        changed("name: ", "name:"),
        StatementError::Field { name: "name" }
    );
    assert_eq!(
        changed("csv-analyzer", "CSV"),
        StatementError::Field { name: "name" }
    );
    assert_eq!(
        changed("1.2.3", "1.2"),
        StatementError::Field { name: "version" }
    );
    assert_eq!(
        changed("name: csv-analyzer\n", ""),
        StatementError::Field { name: "name" }
    );
    assert_eq!(
        changed("statement 1\n", "statement 1\r\n"),
        StatementError::OtherVersion
    );
    assert_eq!(
        changed("statement 1", "statement 2"),
        StatementError::OtherVersion
    );
    assert_eq!(changed("skills", " skills"), StatementError::NotAStatement);
    assert_eq!(Statement::parse(b""), Err(StatementError::NotAStatement));
    assert_eq!(Statement::parse(b"\xff\xfe"), Err(StatementError::NotUtf8));
    assert_eq!(
        Statement::parse(&[b'x'; 1025]),
        Err(StatementError::TooLong)
    );
}
