//! Archives: publishing them, handing them out, looking into them. One file per
//! endpoint; beside them `upload` (reads a publish request), `inspect` (what the
//! bytes are), `store` (the transaction), `trees` (unpacked archives in memory).

pub mod inspect;
pub mod store;
pub mod trees;
pub mod upload;

pub mod change_version;
pub mod delete_version;
pub mod download;
pub mod get_file;
pub mod list_files;
pub mod publish;
pub mod render;
