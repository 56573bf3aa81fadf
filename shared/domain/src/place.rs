//! What a key under a source's root is, by its name alone: the way back from [`Layout::object`] and its kind.

use crate::archive::QUARANTINE;
use crate::{BatchId, Generation, Hour, Layout, ObjectKey};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const MANIFESTS: &str = "_manifests/";

/// What stands at a key whose name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A data object of a batch.
    Object {
        /// The hour that it is filed under.
        hour: Hour,
        /// The batch.
        batch: BatchId,
        /// Which export of it.
        generation: Generation,
    },
    /// A manifest of a batch.
    Manifest {
        /// The first hour of the day that it is filed under.
        day: Hour,
        /// The batch.
        batch: BatchId,
        /// Which export of it.
        generation: Generation,
    },
    /// Raw bytes of a message that can't be exported.
    Quarantine,
    /// The mark of batch numbers.
    NumberMark,
}

impl Place {
    /// The batch that it belongs to, where the name says so.
    pub fn batch(&self) -> Option<BatchId> {
        match self {
            Self::Object { batch, .. } | Self::Manifest { batch, .. } => Some(*batch),
            Self::Quarantine | Self::NumberMark => None,
        }
    }
}

impl Layout {
    /// What a key is; `None` where it isn't exactly as this layout would have written it.
    pub fn place_of(&self, key: &ObjectKey) -> Option<Place> {
        let below = key.as_str().strip_prefix(self.root())?;
        if *key == self.number_mark() {
            return Some(Place::NumberMark);
        }
        if below.starts_with(QUARANTINE) {
            return Some(Place::Quarantine);
        }
        match below.strip_prefix(MANIFESTS) {
            Some(below) => self.manifest_at(key, below),
            None => self.object_at(key, below),
        }
    }

    fn object_at(&self, key: &ObjectKey, below: &str) -> Option<Place> {
        let (date, below) = below.strip_prefix("dt=")?.split_once("/hour=")?;
        let (hour_of_day, _) = below.split_once('/')?;
        let (hour, (batch, generation)) = (hour_at(date, hour_of_day)?, key.batch()?);
        let form = (key.format(), key.compression());
        (self.object(hour, batch, generation, form) == *key).then_some(Place::Object {
            hour,
            batch,
            generation,
        })
    }

    fn manifest_at(&self, key: &ObjectKey, below: &str) -> Option<Place> {
        let (date, _) = below.strip_prefix("dt=")?.split_once('/')?;
        let (day, (batch, generation)) = (hour_at(date, "00")?, key.batch()?);
        (self.manifest(day, batch, generation) == *key).then_some(Place::Manifest {
            day,
            batch,
            generation,
        })
    }
}

fn hour_at(date: &str, hour_of_day: &str) -> Option<Hour> {
    let time: DateTime = format!("{date}T{hour_of_day}:00:00").parse().ok()?;
    let instant = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Hour::of(instant))
}

impl ObjectKey {
    /// The batch and the generation that its name tells, wherever it lies: `…/batch-7-g2.…`.
    pub fn batch(&self) -> Option<(BatchId, Generation)> {
        let (_, name) = self.as_str().rsplit_once('/')?;
        let (stem, _) = name.split_once('.')?;
        let (batch, generation) = stem.strip_prefix("batch-")?.split_once("-g")?;
        Some((batch.parse().ok()?, generation.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, Format};

    fn place_of(layout: &Layout, key: &str) -> Option<Place> {
        layout.place_of(&ObjectKey::from_record(key.to_owned()))
    }

    #[test]
    fn every_key_that_is_written_tells_what_it_is() {
        let hour = Hour::of("2026-11-22T06:59:59Z".parse().unwrap());
        let (batch, generation) = (BatchId(7), Generation(12));
        for layout in [Layout::new("archive", "messages"), Layout::new("", "m")] {
            for form in [
                (Format::Ndjson, Compression::Zstd),
                (Format::Ndjson, Compression::Gzip),
                (Format::Ndjson, Compression::None),
                (Format::Json, Compression::Zstd),
                (Format::Json, Compression::None),
            ] {
                let object = Place::Object {
                    hour,
                    batch,
                    generation,
                };
                assert_eq!(
                    layout.place_of(&layout.object(hour, batch, generation, form)),
                    Some(object)
                );
            }
            let day = Hour::of("2026-11-22T00:00:00Z".parse().unwrap());
            let manifest = Place::Manifest {
                day,
                batch,
                generation,
            };
            assert_eq!(
                layout.place_of(&layout.manifest(hour, batch, generation)),
                Some(manifest)
            );
            assert_eq!(manifest.batch(), Some(batch));
        }
    }

    #[test]
    fn a_name_that_is_only_nearly_ours_is_not_ours() {
        let layout = Layout::new("archive", "messages");
        for below in [
            "dt=2026-11-22/hour=06/batch-07-g1.ndjson.zst",
            "dt=2026-11-22/hour=06/batch-+7-g1.ndjson.zst",
            "dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst.tmp",
            "dt=2026-11-22/hour=06/batch-7-g1.csv",
            "dt=2026-11-22/hour=06/batch-7.ndjson.zst",
            "dt=2026-11-22/hour=06/more/batch-7-g1.ndjson.zst",
            "dt=2026-11-22/hour=6/batch-7-g1.ndjson.zst",
            "dt=2026-11-31/hour=06/batch-7-g1.ndjson.zst",
            "dt=2026-11-22/batch-7-g1.ndjson.zst",
            "_manifests/batch-7-g1.json",
            "_manifests/dt=2026-11-22/batch-7-g1.json.zst",
            "notes.txt",
        ] {
            assert_eq!(
                place_of(&layout, &format!("archive/source=messages/{below}")),
                None,
                "{below}"
            );
        }
        assert_eq!(
            place_of(
                &layout,
                "archive/source=others/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst"
            ),
            None
        );
        let raw = "archive/source=messages/_quarantine/dt=2026-11-22/batch-7-14d6.bin";
        assert_eq!(place_of(&layout, raw), Some(Place::Quarantine));
    }

    #[test]
    fn a_key_tells_its_batch_and_generation() {
        let hour = Hour::of("2026-01-01T00:00:00Z".parse().unwrap());
        let form = (Format::Ndjson, Compression::Zstd);
        let key = Layout::new("archive", "messages").object(hour, BatchId(7), Generation(2), form);
        assert_eq!(key.batch(), Some((BatchId(7), Generation(2))));
        for foreign in [
            "batch-7-g2.ndjson",
            "x/foreign.txt",
            "x/batch-7.ndjson",
            "x/batch-a-g1.ndjson",
        ] {
            assert_eq!(
                ObjectKey::from_record(foreign.to_owned()).batch(),
                None,
                "{foreign}"
            );
        }
    }
}
