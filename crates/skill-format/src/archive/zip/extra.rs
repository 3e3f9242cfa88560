//! Extra fields of a zip entry: which of them would change what the entry is.

use super::super::error::ZipProblem;
use super::fields::Fields;

const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;
const AES: u16 = 0x9901;
/// Version and CRC-32 of the plain name, before the Unicode name.
const UNICODE_PATH_HEADER_BYTES: usize = 5;

/// Refuses what gives the entry another size, name or content. Times, owners and other systems'
/// attributes are skipped.
pub(super) fn check(extra: &[u8], name: &[u8]) -> Result<(), ZipProblem> {
    let mut fields = Fields(extra);
    while !fields.0.is_empty() {
        let (id, data) = next(&mut fields).ok_or(ZipProblem::ExtraField)?;
        match id {
            ZIP64 => return Err(ZipProblem::Zip64),
            AES => return Err(ZipProblem::Encrypted),
            UNICODE_PATH if data.get(UNICODE_PATH_HEADER_BYTES..) != Some(name) => {
                return Err(ZipProblem::SecondName);
            }
            _ => {}
        }
    }
    Ok(())
}

fn next<'a>(fields: &mut Fields<'a>) -> Option<(u16, &'a [u8])> {
    let (id, length) = (fields.u16()?, fields.u16()?);
    Some((id, fields.bytes(length.into())?))
}
