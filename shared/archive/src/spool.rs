//! The spool: the file in the temp directory in which a batch becomes an object before S3 sees a byte of it.
//!
//! So that its counts and its checksum are known before the PUT, and a PUT that failed can be repeated without
//! reading the source again. Memory is a few buffers, whatever the batch. A spool's file goes when the spool does;
//! a process that was killed leaves its file behind, which [`sweep_leftovers`] removes. After an error other than
//! [`SpoolError::LineTooLong`] the spool is of no use: drop it and begin a new one.

use crate::contents::{Contents, LineAccount};
use crate::error::SpoolError;
use crate::exported::{Exported, MetadataCounts};
use crate::line::{LINE_BYTES_MAX, Line};
use crate::lines::{JSON_CLOSING, JSON_OPENING};
use crate::pack::Packer;
use granary_domain::{Compression, Format, MessageId};
use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

const NAME_PREFIX: &str = "granary-spool-";
const CREATE_TRIES_MAX: u32 = 5;
const BUFFER_BYTES: usize = 128 * 1024;

/// An object in the making.
pub struct Spool {
    out: BufWriter<Packer<BufWriter<File>>>,
    path: TempPath,
    format: Format,
    ids: LineAccount,
    line_breaks_replaced: u64,
}

/// A complete object in the temp directory. Dropping it removes the file.
#[derive(Debug)]
pub struct SealedSpool {
    /// What it holds.
    pub contents: Contents,
    /// Line breaks between the tokens of messages and metadata that were replaced by a space each.
    pub line_breaks_replaced: u64,
    path: TempPath,
    /// Kept open for its lock, so that nobody takes the file for a leftover.
    _locked: File,
}

impl SealedSpool {
    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Spool {
    /// Begins an object in `dir`.
    pub fn create(dir: &Path, format: Format, compression: Compression) -> Result<Self, SpoolError> {
        Self::begin(locked_file(dir)?, format, compression)
    }

    fn begin(file: NamedTempFile, format: Format, compression: Compression) -> Result<Self, SpoolError> {
        let (file, path) = file.into_parts();
        let packer = Packer::new(compression, BufWriter::with_capacity(BUFFER_BYTES, file))
            .map_err(|error| SpoolError::of("begin", &path, error))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, packer);
        let mut spool = Self {
            out,
            path,
            format,
            ids: LineAccount::default(),
            line_breaks_replaced: 0,
        };
        if format == Format::Json {
            spool.write_bytes(JSON_OPENING)?;
        }
        Ok(spool)
    }

    /// Adds a message. [`SpoolError::LineTooLong`] is that message's fault and leaves the spool as it was.
    pub fn write(&mut self, line: &Line<'_>) -> Result<(), SpoolError> {
        let bytes = line.bytes();
        if bytes > LINE_BYTES_MAX {
            let message_id = line.message_id.clone();
            return Err(SpoolError::LineTooLong {
                message_id,
                bytes,
                bytes_max: LINE_BYTES_MAX,
            });
        }
        self.begin_line()?;
        let replaced = line
            .write_to(&mut self.out)
            .map_err(|error| SpoolError::of("write", &self.path, error))?;
        self.line_breaks_replaced += replaced;
        self.end_line(line.message_id, &line.metadata_counts())
    }

    /// Adds a line of another object, byte for byte, without its line break.
    pub fn copy(&mut self, message_id: &MessageId, line: &[u8]) -> Result<(), SpoolError> {
        let exported: Exported = serde_json::from_slice(line)
            .map_err(|error| SpoolError::of("copy", &self.path, std::io::Error::other(error.to_string())))?;
        self.begin_line()?;
        self.write_bytes(line)?;
        self.end_line(message_id, &exported.metadata)
    }

    fn begin_line(&mut self) -> Result<(), SpoolError> {
        match (self.format, self.ids.count()) {
            (Format::Json, 0) => self.write_bytes(b"\n"),
            (Format::Json, _) => self.write_bytes(b",\n"),
            (Format::Ndjson, _) => Ok(()),
        }
    }

    fn end_line(&mut self, message_id: &MessageId, metadata: &MetadataCounts) -> Result<(), SpoolError> {
        if self.format == Format::Ndjson {
            self.write_bytes(b"\n")?;
        }
        self.ids.add(message_id, metadata);
        Ok(())
    }

    /// Completes the object. It may hold no message; such an object is not worth putting.
    pub fn seal(mut self) -> Result<SealedSpool, SpoolError> {
        if self.format == Format::Json {
            self.write_bytes(b"\n")?;
            self.write_bytes(JSON_CLOSING)?;
            self.write_bytes(b"\n")?;
        }
        let path = self.path;
        let sealed = self
            .out
            .into_inner()
            .map_err(|error| error.into_error())
            .and_then(Packer::finish)
            .and_then(|(file, bytes)| Ok((file.into_inner().map_err(|error| error.into_error())?, bytes)));
        let (file, bytes) = sealed.map_err(|error| SpoolError::of("seal", &path, error))?;
        let contents = self.ids.into_contents(bytes);
        Ok(SealedSpool {
            contents,
            line_breaks_replaced: self.line_breaks_replaced,
            path,
            _locked: file,
        })
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.out
            .write_all(bytes)
            .map_err(|error| SpoolError::of("write", &self.path, error))
    }
}

/// A new file, locked for as long as it is open: the lock is what tells a spool from a leftover, since the system
/// releases it when a process dies. A sweep may come between the two steps and remove the file; then another one
/// is made.
fn locked_file(dir: &Path) -> Result<NamedTempFile, SpoolError> {
    for _ in 0..CREATE_TRIES_MAX {
        let file = tempfile::Builder::new()
            .prefix(NAME_PREFIX)
            .tempfile_in(dir)
            .map_err(|error| SpoolError::of("create", dir, error))?;
        match file.as_file().try_lock() {
            Ok(()) if file.path().exists() => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(SpoolError::of("lock", file.path(), error)),
        }
    }
    Err(SpoolError::Contended { dir: dir.to_owned() })
}

/// Removes the spools in `dir` that no process holds any more, and returns how many there were. Called before the
/// first spool of an invocation: an invocation that was killed leaves its file, and the temp directory outlives it.
pub fn sweep_leftovers(dir: &Path) -> Result<u32, SpoolError> {
    let entries = std::fs::read_dir(dir).map_err(|error| SpoolError::of("list", dir, error))?;
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(|error| SpoolError::of("list", dir, error))?;
        if entry.file_name().to_string_lossy().starts_with(NAME_PREFIX) {
            removed += u32::from(remove_if_left(&entry.path())?);
        }
    }
    Ok(removed)
}

/// Whether the file was a leftover. One that vanished meanwhile is somebody else's, or was swept by somebody else.
fn remove_if_left(path: &PathBuf) -> Result<bool, SpoolError> {
    let unless_gone = |outcome: std::io::Result<bool>| match outcome {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        other => other.map_err(|error| SpoolError::of("sweep", path, error)),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return unless_gone(Err(error)),
    };
    match file.try_lock() {
        Ok(()) => unless_gone(std::fs::remove_file(path).map(|()| true)),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => unless_gone(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(spool: &mut Spool, count: usize) -> Result<(), SpoolError> {
        (0..count).try_for_each(|number| {
            let id = MessageId::try_from(format!("m-{number}")).unwrap();
            let message = format!("{{\"number\":{number}}}");
            spool.write(&Line {
                message_id: &id,
                doc_id: id.as_str(),
                index: "i",
                routing: None,
                version: 1,
                seq_no: 0,
                primary_term: 1,
                message: message.as_bytes(),
                metadata: &[],
            })
        })
    }

    #[test]
    fn both_formats_are_what_they_say_and_an_empty_one_too() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 2] {
            let mut spool = Spool::create(dir.path(), Format::Json, Compression::None).unwrap();
            fill(&mut spool, count).unwrap();
            let sealed = spool.seal().unwrap();
            let text = std::fs::read(sealed.path()).unwrap();
            let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(document["messages"].as_array().unwrap().len(), count);
            assert_eq!(sealed.contents.bytes_raw, text.len() as u64);
        }
        let mut spool = Spool::create(dir.path(), Format::Ndjson, Compression::None).unwrap();
        fill(&mut spool, 2).unwrap();
        let sealed = spool.seal().unwrap();
        let text = std::fs::read_to_string(sealed.path()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("}\n"));
        assert_eq!(sealed.contents.last_id.as_ref().unwrap().as_str(), "m-1");
    }

    #[test]
    fn e14_a_full_disk_is_told_apart() {
        let full = || {
            let file = File::options().write(true).open("/dev/full").unwrap();
            let nowhere = TempPath::try_from_path(std::env::temp_dir().join("granary-full-disk")).unwrap();
            NamedTempFile::from_parts(file, nowhere)
        };
        for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
            let mut spool = Spool::begin(full(), Format::Ndjson, compression).unwrap();
            let outcome = fill(&mut spool, 10).and_then(|()| spool.seal().map(drop));
            assert!(matches!(outcome, Err(SpoolError::DiskFull { .. })), "{outcome:?}");
        }
    }

    #[test]
    fn e14_a_sweep_removes_leftovers_and_spares_spools_and_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let leftover = dir.path().join("granary-spool-killed");
        std::fs::write(&leftover, "half").unwrap();
        let foreign = dir.path().join("something-else");
        std::fs::write(&foreign, "").unwrap();
        let open = Spool::create(dir.path(), Format::Ndjson, Compression::Zstd).unwrap();
        let sealed = Spool::create(dir.path(), Format::Ndjson, Compression::Zstd)
            .unwrap()
            .seal()
            .unwrap();

        assert_eq!(sweep_leftovers(dir.path()).unwrap(), 1);
        assert_eq!(sweep_leftovers(dir.path()).unwrap(), 0);

        assert!(!leftover.exists());
        assert!(foreign.exists() && open.path.exists() && sealed.path().exists());
        drop((open, sealed));
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "a dropped spool leaves no file"
        );
    }

    #[test]
    fn e7_a_line_that_is_too_long_is_refused_and_the_spool_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(dir.path(), Format::Ndjson, Compression::Zstd).unwrap();
        fill(&mut spool, 1).unwrap();
        let id = MessageId::try_from("giant".to_owned()).unwrap();
        let giant = vec![b' '; LINE_BYTES_MAX + 1];
        let line = Line {
            message_id: &id,
            doc_id: id.as_str(),
            index: "i",
            routing: None,
            version: 1,
            seq_no: 0,
            primary_term: 1,
            message: &giant,
            metadata: &[],
        };
        assert!(matches!(spool.write(&line), Err(SpoolError::LineTooLong { .. })));
        fill(&mut spool, 1).unwrap();
        assert_eq!(spool.seal().unwrap().contents.exported, 2);
    }
}
