//! The lines of an object as it is read back: found, checked, counted.
//!
//! Both formats are files of lines, `json` with a line before, a line after and commas between; so one reader does
//! for both, and holds one line in memory. What isn't such a file is an error that says where, and never quotes it.

use crate::contents::LineAccount;
use crate::exported::Exported;
use crate::line::LINE_BYTES_MAX;
use granary_domain::{Format, MessageId};
use std::io::{self, Write};

/// The first line of a `json` object.
pub(crate) const JSON_OPENING: &[u8] = b"{\"messages\":[";
/// Its last line.
pub(crate) const JSON_CLOSING: &[u8] = b"]}";
/// What a line may have beside what came from Elasticsearch: names, escapes, commas.
const LINE_OVERHEAD_MAX: usize = 1024 * 1024;

/// Takes raw bytes as they come, gives each message's id and line to `each`.
pub(crate) struct LineReader<F> {
    format: Format,
    place: Place,
    unfinished: Vec<u8>,
    bytes: u64,
    ids: LineAccount,
    each: F,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The opening line of `json`.
    Opening,
    /// A message; in `json` also the closing line.
    First,
    /// A message.
    Message,
    /// The closing line of `json`.
    Closing,
    /// Nothing.
    End,
}

impl<F: FnMut(&MessageId, &[u8])> LineReader<F> {
    pub(crate) fn new(format: Format, each: F) -> Self {
        let place = match format {
            Format::Ndjson => Place::Message,
            Format::Json => Place::Opening,
        };
        Self {
            format,
            place,
            unfinished: Vec::new(),
            bytes: 0,
            ids: LineAccount::default(),
            each,
        }
    }

    /// The ids that were read, and the raw bytes. Fails where the file ends in the middle.
    pub(crate) fn finish(self) -> io::Result<(LineAccount, u64)> {
        let is_whole = match self.format {
            Format::Ndjson => self.unfinished.is_empty(),
            Format::Json => self.place == Place::End,
        };
        if !is_whole {
            return Err(io::Error::other(format!(
                "it ends in the middle, after {} messages",
                self.ids.count()
            )));
        }
        Ok((self.ids, self.bytes))
    }

    fn take_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.place = match (self.format, self.place) {
            (Format::Ndjson, place) => {
                self.take_message(line)?;
                place
            }
            (Format::Json, Place::Opening) if line == JSON_OPENING => Place::First,
            (Format::Json, Place::First | Place::Closing) if line == JSON_CLOSING => Place::End,
            (Format::Json, Place::First | Place::Message) => match line.strip_suffix(b",") {
                Some(message) => {
                    self.take_message(message)?;
                    Place::Message
                }
                None => {
                    self.take_message(line)?;
                    Place::Closing
                }
            },
            (Format::Json, Place::Opening | Place::Closing | Place::End) => {
                let count = self.ids.count();
                return Err(io::Error::other(format!(
                    "after {count} messages comes a line that doesn't belong there"
                )));
            }
        };
        Ok(())
    }

    fn take_message(&mut self, line: &[u8]) -> io::Result<()> {
        let exported: Exported = serde_json::from_slice(line).map_err(|error| {
            // Its own text may quote the message.
            let (number, column) = (self.ids.count() + 1, error.column());
            io::Error::other(format!(
                "message {number} is no exported line ({:?} error, column {column})",
                error.classify()
            ))
        })?;
        self.ids.add(&exported.message_id, &exported.metadata);
        (self.each)(&exported.message_id, line);
        Ok(())
    }

    fn keep_unfinished(&mut self, rest: &[u8]) -> io::Result<()> {
        if self.unfinished.len() + rest.len() > LINE_BYTES_MAX + LINE_OVERHEAD_MAX {
            let count = self.ids.count();
            return Err(io::Error::other(format!(
                "after {count} messages comes a line longer than any exported one"
            )));
        }
        self.unfinished.extend_from_slice(rest);
        Ok(())
    }
}

impl<F: FnMut(&MessageId, &[u8])> Write for LineReader<F> {
    fn write(&mut self, raw: &[u8]) -> io::Result<usize> {
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            if self.unfinished.is_empty() {
                self.take_line(&rest[..at])?;
            } else {
                self.keep_unfinished(&rest[..at])?;
                let mut line = std::mem::take(&mut self.unfinished);
                self.take_line(&line)?;
                line.clear();
                self.unfinished = line;
            }
            rest = &rest[at + 1..];
        }
        self.keep_unfinished(rest)?;
        self.bytes += raw.len() as u64;
        Ok(raw.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, text: &str) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let mut reader = LineReader::new(format, |id: &MessageId, _: &[u8]| ids.push(id.to_string()));
        text.as_bytes()
            .chunks(3)
            .try_for_each(|chunk| reader.write_all(chunk))
            .map_err(|error| error.to_string())?;
        reader.finish().map_err(|error| error.to_string())?;
        Ok(ids)
    }

    fn line(id: &str) -> String {
        format!(
            r#"{{"message_id":"{id}","index":"i","version":1,"seq_no":0,"primary_term":1,"message":{{"s":"\ud800","n":1e400,"n":2}}}}"#
        )
    }

    #[test]
    fn whole_files_are_read_in_their_order() {
        let (a, b) = (line("a"), line("b"));
        assert_eq!(read(Format::Ndjson, &format!("{a}\n{b}\n")).unwrap(), ["a", "b"]);
        assert_eq!(read(Format::Ndjson, "").unwrap(), [""; 0]);
        assert_eq!(
            read(Format::Json, &format!("{{\"messages\":[\n{a},\n{b}\n]}}\n")).unwrap(),
            ["a", "b"]
        );
        assert_eq!(read(Format::Json, "{\"messages\":[\n]}\n").unwrap(), [""; 0]);
    }

    #[test]
    fn e13_torn_and_foreign_files_are_told_and_never_quoted() {
        let (a, b) = (line("a"), line("b"));
        let foreign = "{\"secret\":\"word\"}\n";
        let cases = [
            (
                Format::Ndjson,
                format!("{a}\n{b}"),
                "it ends in the middle, after 1 messages",
            ),
            (
                Format::Ndjson,
                format!("{a}\n\n"),
                "message 2 is no exported line (Eof error, column 0)",
            ),
            (
                Format::Ndjson,
                foreign.to_owned(),
                "message 1 is no exported line (Data error, column 17)",
            ),
            (
                Format::Ndjson,
                a.replace("\"a\"", "7") + "\n",
                "message 1 is no exported line (Data error, column 15)",
            ),
            (
                Format::Json,
                foreign.to_owned(),
                "after 0 messages comes a line that doesn't belong there",
            ),
            (
                Format::Json,
                format!("{{\"messages\":[\n{a},\n{b}\n"),
                "it ends in the middle, after 2 messages",
            ),
            (
                Format::Json,
                format!("{{\"messages\":[\n{a}\n{b}\n]}}\n"),
                "after 1 messages comes a line that doesn't belong there",
            ),
            (
                Format::Json,
                format!("{{\"messages\":[\n{a},\n]}}\n"),
                "message 2 is no exported line (Syntax error, column 1)",
            ),
            (
                Format::Json,
                format!("{{\"messages\":[\n{a}\n]}}\n]}}\n"),
                "after 1 messages comes a line that doesn't belong there",
            ),
        ];
        for (format, text, reason) in cases {
            assert_eq!(read(format, &text).unwrap_err(), reason);
        }
    }
}
