//! Everything an archive can be refused for, each with its own stable code.

use crate::explain::{Explain, Fault, Place};
use crate::limits::LimitError;
use crate::tree::PathError;

/// Why an archive was refused. Nothing of it was written anywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    #[error("this is neither a gzip-compressed tar nor a zip")]
    UnknownFormat,
    #[error("the archive has {bytes} bytes, more than the {max} allowed")]
    TooLarge { bytes: u64, max: u64 },
    #[error("the archive unpacks to more than {ratio_max} times its size")]
    Bomb { ratio_max: u64 },
    #[error("there is no `SKILL.md` at the root of the archive{}", .found.as_ref().map(|path| format!(", only `{path}`")).unwrap_or_default())]
    NoSkillMd { found: Option<String> },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("`{path}` {problem}")]
    Entry { path: String, problem: EntryProblem },
    #[error("gzip: {0}")]
    Gzip(#[from] GzipProblem),
    /// `at` is the byte in the unpacked tar at which the entry's header begins.
    #[error("tar: {}: {problem}", entry_name(.path.as_deref(), *.at))]
    Tar {
        at: u64,
        path: Option<String>,
        problem: TarProblem,
    },
    /// `at` is the byte in the zip at which the record begins.
    #[error("zip: {}: {problem}", entry_name(.path.as_deref(), *.at))]
    Zip {
        at: u64,
        path: Option<String>,
        problem: ZipProblem,
    },
}

fn entry_name(path: Option<&str>, at: u64) -> String {
    path.map_or_else(|| format!("at byte {at}"), |path| format!("`{path}`"))
}

/// Something other than an ordinary file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    #[error("is a symbolic link")]
    SymbolicLink,
    #[error("is a hard link")]
    HardLink,
    #[error("is a device")]
    Device,
    #[error("is a named pipe")]
    Fifo,
    #[error("is a socket")]
    Socket,
    #[error("is a sparse file")]
    Sparse,
    #[error("has an entry type that is not supported (0x{0:02x})")]
    UnknownType(u8),
    #[error("has the set-user-id bit")]
    SetUserId,
    #[error("has the set-group-id bit")]
    SetGroupId,
    #[error("has the sticky bit")]
    Sticky,
    #[error("is a folder, yet has content")]
    FolderWithContent,
    #[error("is called a file in one place and a folder in another")]
    FileOrFolder,
}

/// What is wrong with the gzip stream around a tar (RFC 1952).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GzipProblem {
    #[error("the header is not valid")]
    Header,
    #[error("the data ends too early")]
    Truncated,
    #[error("the compressed data is corrupt")]
    Corrupt,
    #[error("the checksum does not match the data")]
    Checksum,
    #[error("the recorded length does not match the data")]
    Length,
    #[error("a second gzip member follows the first")]
    SecondMember,
    #[error("bytes follow the end of the gzip stream")]
    TrailingBytes,
}

/// What is wrong with the tar (POSIX.1-2001 pax, and GNU's long names).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarProblem {
    #[error("the archive ends too early")]
    Truncated,
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    #[error("this is not a tar header")]
    Magic,
    #[error("the field `{field}` is not an octal number")]
    Number { field: &'static str },
    #[error("data follows the end of the archive")]
    DataAfterEnd,
    #[error("a metadata record has more than {max} bytes")]
    MetadataSize { max: u64 },
    #[error("an extended header is not made of `LENGTH KEY=VALUE` lines")]
    PaxSyntax,
    #[error("an extended header sets `{key}` twice")]
    PaxDuplicate { key: String },
    #[error("an extended header gives the file another size")]
    PaxSize,
    #[error("an extended header sets `{key}`, which is not supported")]
    PaxKey { key: String },
    #[error("a global header sets `{key}` for every file that follows")]
    GlobalHeader { key: String },
    #[error("two metadata records name the same entry")]
    TwoNames,
    #[error("a metadata record belongs to no entry")]
    StrayMetadata,
}

/// What is wrong with the zip (PKWARE APPNOTE 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZipProblem {
    #[error("there is no end-of-central-directory record where the archive ends")]
    NoEnd,
    #[error("the comment could hide a second end-of-central-directory record")]
    Comment,
    #[error("zip64 records have no place in an archive of this size")]
    Zip64,
    #[error("the archive is split over several disks")]
    MultiDisk,
    #[error("the central directory does not lie where the archive says")]
    DirectoryBounds,
    #[error("the central directory is not valid")]
    DirectorySyntax,
    #[error("bytes precede the first entry")]
    Prepended,
    #[error("two entries overlap")]
    Overlap,
    #[error("bytes lie between the entries that belong to none")]
    Gap,
    #[error("the local header is not valid")]
    LocalSyntax,
    #[error("the local header and the central directory disagree about the {field}")]
    Disagreement { field: &'static str },
    #[error("the entry is encrypted")]
    Encrypted,
    #[error("compression method {0} is not supported, only stored (0) and deflate (8)")]
    Method(u16),
    #[error("the data descriptor does not match the central directory")]
    DataDescriptor,
    #[error("an extra field is not valid")]
    ExtraField,
    #[error("an extra field gives the entry a second name")]
    SecondName,
    #[error("the compressed data is corrupt")]
    Corrupt,
    #[error("the data does not have the recorded size")]
    Size,
    #[error("the checksum does not match the data")]
    Checksum,
}

impl Explain for ArchiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "archive-unknown-format",
            Self::TooLarge { .. } => "archive-too-large",
            Self::Bomb { .. } => "archive-bomb",
            Self::NoSkillMd { .. } => "archive-no-skill-md",
            Self::Path(error) => error.code(),
            Self::Limit(error) => error.code(),
            Self::Entry { problem, .. } => problem.code(),
            Self::Gzip(problem) => problem.code(),
            Self::Tar { problem, .. } => problem.code(),
            Self::Zip { problem, .. } => problem.code(),
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Path(error) => return error.help(),
            Self::Limit(error) => return error.help(),
            Self::UnknownFormat => "make a package with `skills pack FOLDER`",
            Self::TooLarge { .. } | Self::Bomb { .. } => {
                "leave large and generated files out of the skill, and pack it again with `skills pack FOLDER`"
            }
            Self::NoSkillMd { .. } => {
                "pack the folder that holds `SKILL.md`, not the one above it: `skills pack FOLDER`"
            }
            Self::Entry { problem, .. } => problem.help(),
            Self::Gzip(problem) => problem.help(),
            Self::Tar { .. } | Self::Zip { .. } => {
                "the archive is damaged or was made to be read in two ways; pack the skill again with `skills pack FOLDER`"
            }
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        let file = match self {
            Self::Path(error) => return error.place(),
            Self::Limit(error) => return error.place(),
            Self::Entry { path, .. } => Some(path.clone()),
            Self::Tar { path, .. } | Self::Zip { path, .. } => path.clone(),
            Self::UnknownFormat | Self::TooLarge { .. } | Self::Bomb { .. } | Self::Gzip(_) => None,
            Self::NoSkillMd { .. } => None,
        };
        file.map(|file| Place {
            file: Some(file),
            line: None,
            field: None,
        })
    }
}

impl EntryProblem {
    fn code(self) -> &'static str {
        match self {
            Self::SymbolicLink => "archive-symbolic-link",
            Self::HardLink => "archive-hard-link",
            Self::Device => "archive-device",
            Self::Fifo => "archive-fifo",
            Self::Socket => "archive-socket",
            Self::Sparse => "archive-sparse-file",
            Self::UnknownType(_) => "archive-unknown-entry-type",
            Self::SetUserId => "archive-setuid",
            Self::SetGroupId => "archive-setgid",
            Self::Sticky => "archive-sticky",
            Self::FolderWithContent => "archive-folder-with-content",
            Self::FileOrFolder => "archive-file-or-folder",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::SymbolicLink | Self::HardLink => "replace the link by the file that it points to",
            Self::SetUserId | Self::SetGroupId | Self::Sticky => {
                "run `chmod a-s,-t` on it and pack the skill again"
            }
            Self::Device | Self::Fifo | Self::Socket | Self::UnknownType(_) => {
                "a skill consists of ordinary files and folders; leave it out"
            }
            Self::Sparse => {
                "pack the skill again with `skills pack FOLDER`, which writes every byte"
            }
            Self::FolderWithContent | Self::FileOrFolder => {
                "pack the skill again with `skills pack FOLDER`"
            }
        }
    }
}

impl GzipProblem {
    fn code(self) -> &'static str {
        match self {
            Self::Header => "archive-gzip-header",
            Self::Truncated => "archive-gzip-truncated",
            Self::Corrupt => "archive-gzip-corrupt",
            Self::Checksum => "archive-gzip-checksum",
            Self::Length => "archive-gzip-length",
            Self::SecondMember => "archive-gzip-second-member",
            Self::TrailingBytes => "archive-gzip-trailing-bytes",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Truncated => "the file is incomplete; download it again",
            Self::Corrupt | Self::Checksum | Self::Length => {
                "the file is damaged; download it again"
            }
            Self::Header | Self::SecondMember | Self::TrailingBytes => {
                "a package is exactly one gzip stream; pack the skill again with `skills pack FOLDER`"
            }
        }
    }
}

impl TarProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "archive-tar-truncated",
            Self::HeaderChecksum => "archive-tar-header-checksum",
            Self::Magic => "archive-tar-magic",
            Self::Number { .. } => "archive-tar-number",
            Self::DataAfterEnd => "archive-tar-data-after-end",
            Self::MetadataSize { .. } => "archive-tar-metadata-size",
            Self::PaxSyntax => "archive-pax-syntax",
            Self::PaxDuplicate { .. } => "archive-pax-duplicate",
            Self::PaxSize => "archive-pax-size",
            Self::PaxKey { .. } => "archive-pax-key",
            Self::GlobalHeader { .. } => "archive-pax-global-header",
            Self::TwoNames => "archive-tar-two-names",
            Self::StrayMetadata => "archive-tar-stray-metadata",
        }
    }
}

impl ZipProblem {
    fn code(self) -> &'static str {
        match self {
            Self::NoEnd => "archive-zip-no-end",
            Self::Comment => "archive-zip-comment",
            Self::Zip64 => "archive-zip-zip64",
            Self::MultiDisk => "archive-zip-multi-disk",
            Self::DirectoryBounds => "archive-zip-directory-bounds",
            Self::DirectorySyntax => "archive-zip-directory-syntax",
            Self::Prepended => "archive-zip-prepended",
            Self::Overlap => "archive-zip-overlap",
            Self::Gap => "archive-zip-gap",
            Self::LocalSyntax => "archive-zip-local-syntax",
            Self::Disagreement { .. } => "archive-zip-disagreement",
            Self::Encrypted => "archive-zip-encrypted",
            Self::Method(_) => "archive-zip-method",
            Self::DataDescriptor => "archive-zip-data-descriptor",
            Self::ExtraField => "archive-zip-extra-field",
            Self::SecondName => "archive-zip-second-name",
            Self::Corrupt => "archive-zip-corrupt",
            Self::Size => "archive-zip-size",
            Self::Checksum => "archive-zip-checksum",
        }
    }
}
