//! Archives written byte by byte, so that they can lie.

use miniz_oxide::deflate::compress_to_vec;

/// One gzip member around `content`.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    member.extend(compress_to_vec(content, 6));
    member.extend(crc32fast::hash(content).to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

/// A tar entry. The defaults describe an ordinary file.
pub struct TarEntry {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    /// The size that the header gives, if it is not that of the content.
    pub size: Option<u64>,
    pub content: Vec<u8>,
    /// Changes the header before its checksum is computed.
    pub tweak: fn(&mut [u8]),
}

impl TarEntry {
    pub fn new(name: impl AsRef<[u8]>, kind: u8, content: impl AsRef<[u8]>) -> Self {
        let (name, content) = (name.as_ref().to_vec(), content.as_ref().to_vec());
        Self {
            name,
            kind,
            mode: 0o644,
            size: None,
            content,
            tweak: |_| (),
        }
    }

    pub fn file(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, b'0', "x")
    }

    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub fn size(self, size: u64) -> Self {
        Self {
            size: Some(size),
            ..self
        }
    }

    pub fn tweak(self, tweak: fn(&mut [u8])) -> Self {
        Self { tweak, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..self.name.len()].copy_from_slice(&self.name);
        let size = self.size.unwrap_or(self.content.len() as u64);
        put(&mut block, 100, &format!("{:07o}\0", self.mode));
        put(&mut block, 108, "0000000\0");
        put(&mut block, 116, "0000000\0");
        put(&mut block, 124, &format!("{size:011o}\0"));
        put(&mut block, 136, "00000000000\0");
        block[156] = self.kind;
        put(&mut block, 257, "ustar\x0000");
        (self.tweak)(&mut block);
        put(&mut block, 148, "        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut block, 148, &format!("{sum:06o}\0 "));
        block.extend_from_slice(&self.content);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }
}

pub fn put(block: &mut [u8], at: usize, text: &str) {
    block[at..at + text.len()].copy_from_slice(text.as_bytes());
}

/// A record of an extended header, with its length in front.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.expect("some number of digits fits")).into_bytes()
}

/// `SKILL.md`, then these entries, then the end.
pub fn tar(entries: impl IntoIterator<Item = TarEntry>) -> Vec<u8> {
    let mut tar = tar_without_end(entries);
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub fn tar_without_end(entries: impl IntoIterator<Item = TarEntry>) -> Vec<u8> {
    let mut tar = TarEntry::new("SKILL.md", b'0', "---\nname: a\n---\n").bytes();
    tar.extend(entries.into_iter().flat_map(|entry| entry.bytes()));
    tar
}

pub fn tar_gz(entries: impl IntoIterator<Item = TarEntry>) -> Vec<u8> {
    gzip(&tar(entries))
}

/// The fields that a zip repeats in the local header and in the central directory.
#[derive(Clone)]
pub struct ZipFields {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed_size: u32,
    pub size: u32,
    pub extra: Vec<u8>,
}

#[derive(Clone)]
pub struct ZipEntry {
    pub local: ZipFields,
    pub central: ZipFields,
    pub data: Vec<u8>,
    /// Bytes after the data: a descriptor, or a gap.
    pub after: Vec<u8>,
    pub attributes: u32,
    /// The offset that the central directory gives, if it is not the true one.
    pub local_at: Option<u32>,
    pub disk: u16,
}

impl ZipEntry {
    pub fn new(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>, method: u16) -> Self {
        let content = content.as_ref();
        let data = if method == 8 {
            compress_to_vec(content, 6)
        } else {
            content.to_vec()
        };
        let fields = ZipFields {
            name: name.as_ref().to_vec(),
            flags: 0,
            method,
            crc: crc32fast::hash(content),
            packed_size: data.len() as u32,
            size: content.len() as u32,
            extra: Vec::new(),
        };
        let (local, central) = (fields.clone(), fields);
        Self {
            local,
            central,
            data,
            after: Vec::new(),
            attributes: 0o100_644 << 16,
            local_at: None,
            disk: 0,
        }
    }

    pub fn file(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, "x", 0)
    }

    pub fn skill_md() -> Self {
        Self::new("SKILL.md", "---\nname: a\n---\n", 8)
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Changes both descriptions alike.
    pub fn with_both(mut self, change: impl Fn(&mut ZipFields)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// As a streaming writer puts it: sizes behind the data, with or without the signature.
    pub fn streamed(self, signature: bool) -> Self {
        self.with_both(|fields| fields.flags |= 1 << 3)
            .with(|entry| {
                if signature {
                    entry.after.extend(b"PK\x07\x08");
                }
                for value in [
                    entry.central.crc,
                    entry.central.packed_size,
                    entry.central.size,
                ] {
                    entry.after.extend(value.to_le_bytes());
                }
                (entry.local.crc, entry.local.packed_size, entry.local.size) = (0, 0, 0);
            })
    }
}

/// Everything of a zip that is not an entry.
#[derive(Default)]
pub struct ZipFrame {
    pub before: Vec<u8>,
    pub before_directory: Vec<u8>,
    pub after_directory: Vec<u8>,
    pub comment: Vec<u8>,
    /// Changes the end record's fields: disk, its disk, entries here, entries.
    pub counts: Option<[u16; 4]>,
    /// Changes where the directory begins.
    pub directory_at: Option<u32>,
}

pub fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    zip_in(ZipFrame::default(), entries)
}

pub fn zip_in(frame: ZipFrame, entries: &[ZipEntry]) -> Vec<u8> {
    let mut bytes = frame.before;
    let mut directory = Vec::new();
    for entry in entries {
        let at = entry.local_at.unwrap_or(bytes.len() as u32);
        bytes.extend(local_header(&entry.local));
        bytes.extend_from_slice(&entry.data);
        bytes.extend_from_slice(&entry.after);
        directory.extend(central_record(entry, at));
    }
    bytes.extend(frame.before_directory);
    let directory_at = frame.directory_at.unwrap_or(bytes.len() as u32);
    let directory_size = directory.len() as u32;
    bytes.extend(directory);
    bytes.extend(frame.after_directory);
    bytes.extend(b"PK\x05\x06");
    let count = entries.len() as u16;
    for value in frame.counts.unwrap_or([0, 0, count, count]) {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(directory_size.to_le_bytes());
    bytes.extend(directory_at.to_le_bytes());
    bytes.extend((frame.comment.len() as u16).to_le_bytes());
    bytes.extend(frame.comment);
    bytes
}

fn local_header(fields: &ZipFields) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\x00".to_vec();
    bytes.extend(common(fields));
    bytes.extend_from_slice(&fields.name);
    bytes.extend_from_slice(&fields.extra);
    bytes
}

fn central_record(entry: &ZipEntry, at: u32) -> Vec<u8> {
    let fields = &entry.central;
    let mut bytes = b"PK\x01\x02\x14\x03\x14\x00".to_vec();
    bytes.extend(common(fields));
    bytes.extend([0; 2]);
    bytes.extend(entry.disk.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(entry.attributes.to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend_from_slice(&fields.name);
    bytes.extend_from_slice(&fields.extra);
    bytes
}

/// From the flags to the length of the extra field.
fn common(fields: &ZipFields) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(fields.flags.to_le_bytes());
    bytes.extend(fields.method.to_le_bytes());
    bytes.extend([0; 4]);
    for value in [fields.crc, fields.packed_size, fields.size] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend((fields.name.len() as u16).to_le_bytes());
    bytes.extend((fields.extra.len() as u16).to_le_bytes());
    bytes
}

/// An extra field of a zip entry.
pub fn extra(id: u16, data: &[u8]) -> Vec<u8> {
    let mut field = id.to_le_bytes().to_vec();
    field.extend((data.len() as u16).to_le_bytes());
    field.extend_from_slice(data);
    field
}
