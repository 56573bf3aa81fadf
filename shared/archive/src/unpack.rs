//! Bytes on their way out of an object: decompressed as they arrive, chunk by chunk, into a writer.
//!
//! A chunk is some hundred kilobytes, so the work between two awaits is short and needs no thread of its own. Data
//! that is damaged, ends too early or goes on after its end is an error.

use flate2::write::GzDecoder;
use granary_domain::Compression;
use std::io::{self, Write};

/// Takes stored bytes, gives raw bytes to `W`.
pub(crate) enum Unpacker<W: Write> {
    Zstd(zstd::stream::write::Decoder<'static, W>),
    Gzip(GzDecoder<W>),
    None(W),
}

impl<W: Write> Unpacker<W> {
    pub(crate) fn new(compression: Compression, out: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => Self::Zstd(zstd::stream::write::Decoder::new(out)?),
            Compression::Gzip => Self::Gzip(GzDecoder::new(out)),
            Compression::None => Self::None(out),
        })
    }

    pub(crate) fn write_all(&mut self, stored: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(decoder) => decoder.write_all(stored),
            Self::Gzip(decoder) => decoder.write_all(stored),
            Self::None(out) => out.write_all(stored),
        }
    }

    /// Fails where the compressed stream isn't at its end.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(decoder) => decoder.finish(),
            Self::Gzip(decoder) => decoder.finish(),
            Self::None(out) => Ok(out),
        }
    }
}
