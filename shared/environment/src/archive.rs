//! Where the archive lies, and in which form.

use crate::environment::{Environment, Reading, Variable};
use granary_domain::{Compression, Format, Layout, MetadataName};
use std::collections::BTreeSet;

const BUCKET: Variable = Variable {
    name: "GRANARY_BUCKET",
    holds: "the name of the S3 bucket that the archive lies in",
};
pub(crate) const PREFIX: Variable = Variable {
    name: "GRANARY_PREFIX",
    holds: "what every key begins with, such as archive/messages, or leave it out for the bucket's root",
};
const SOURCE_NAME: Variable = Variable {
    name: "GRANARY_SOURCE_NAME",
    holds: "the name of the source in the archive, 1 to 64 of a-z, 0-9, - and _",
};
const COMPRESSION: Variable = Variable {
    name: "GRANARY_COMPRESSION",
    holds: "zstd (which it is if unset), gzip or none",
};
const FORMAT: Variable = Variable {
    name: "GRANARY_FORMAT",
    holds: "ndjson (which it is if unset) or json",
};

const SOURCE_NAME_BYTES_MAX: usize = 64;
/// S3 allows 1,024 bytes for a key; what follows the prefix needs less than half of that.
const PREFIX_BYTES_MAX: usize = 512;

/// Where the archive lies, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSection {
    /// The name of the bucket.
    pub bucket: String,
    /// The name of the source: part of every key.
    pub source_name: String,
    /// The keys.
    pub layout: Layout,
    /// How messages are written down.
    pub format: Format,
    /// How objects are compressed.
    pub compression: Compression,
}

impl ArchiveSection {
    /// Reads `GRANARY_BUCKET`, `_PREFIX`, `_SOURCE_NAME`, `_COMPRESSION` and `_FORMAT`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let bucket = env.required_parsed(BUCKET, parse_bucket);
        let prefix = env.optional_parsed(PREFIX, parse_prefix);
        let source_name = env.required_parsed(SOURCE_NAME, parse_source_name);
        let compression = env.optional_parsed(COMPRESSION, parse_compression);
        let format = env.optional_parsed(FORMAT, str::parse);

        let source_name = source_name?;
        Ok(Self {
            bucket: bucket?,
            layout: Layout::new(&prefix?.unwrap_or_default(), &source_name),
            source_name,
            format: format?.unwrap_or(Format::Ndjson),
            compression: compression?.unwrap_or(Compression::Zstd),
        })
    }
}

fn parse_bucket(text: &str) -> Result<String, &'static str> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if (3..=63).contains(&text.len()) && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("the name of a bucket has 3 to 63 of a-z, 0-9, - and .")
    }
}

fn parse_prefix(text: &str) -> Result<String, String> {
    if text.len() > PREFIX_BYTES_MAX {
        return Err(format!(
            "it has {} bytes, {PREFIX_BYTES_MAX} at most are possible",
            text.len()
        ));
    }
    if text.contains("//") || text.chars().any(|char| char.is_control() || char.is_whitespace()) {
        return Err("a prefix can't have // or blanks".to_owned());
    }
    let mut names = BTreeSet::new();
    for name in partitions_of(text) {
        if let Some(whose) = MetadataName::taken(&name) {
            return Err(format!(
                "query engines read the folder {name}=… as a column, and {name} is one of {whose}: rename the folder, for example \
                 {name}-… with a hyphen"
            ));
        }
        if let Some(name) = names.replace(name) {
            return Err(format!(
                "query engines read the folders {name}=… as a column, which would be there twice: rename one of them"
            ));
        }
    }
    Ok(text.to_owned())
}

/// The names of a prefix's parts of the form `name=value`. Spark, Hive and Glue take them for columns, as they do with the
/// partitions below, in lower case; where a line has a field of that name, they show the folder's value and say nothing.
pub(crate) fn partitions_of(prefix: &str) -> impl Iterator<Item = String> {
    let parts = prefix.split('/');
    parts.filter_map(|part| Some(part.split_once('=')?.0.to_ascii_lowercase()))
}

fn parse_source_name(text: &str) -> Result<String, &'static str> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if text.len() <= SOURCE_NAME_BYTES_MAX && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("it is too long or has other characters")
    }
}

fn parse_compression(text: &str) -> Result<Compression, granary_domain::UnknownName> {
    if text == "gz" {
        Ok(Compression::Gzip)
    } else {
        text.parse()
    }
}
