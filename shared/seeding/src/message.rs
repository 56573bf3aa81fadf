//! What a seeded message looks like: about 2 KB of JSON, nested, in several scripts, now and then with what passes
//! through careless hands changed: whole numbers beyond 2^53, trailing zeros, escapes that need not be there.
//!
//! A message is a function of its seed number, its own number and the range of event time, so writing it twice
//! writes the same.

use crate::seed::SeedArguments;
use crate::{SEED_FIELD, SeedingTarget};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::{Result, Write};

/// What the id of every seeded message begins with: `granary-seed-<seed number>-<number>`.
pub const MESSAGE_ID_PREFIX: &str = "granary-seed-";

const WORDS_IN_BODY: usize = 190;
const MILLIS_PER_HOUR: u64 = 3_600_000;
/// One in so many messages is odd in one way, and one in so many in another.
const ODD_ONE_IN: u64 = 20;

const KINDS: [&str; 4] = ["order", "invoice", "shipment", "reminder"];
const CHANNELS: [&str; 4] = ["mail", "sms", "push", "post"];
const CITIES: [(&str, &str); 6] = [
    ("Zürich", "CH"),
    ("São Paulo", "BR"),
    ("東京", "JP"),
    ("Kraków", "PL"),
    ("القاهرة", "EG"),
    ("Oslo", "NO"),
];
const WORDS: [&str; 48] = [
    "order",
    "delivered",
    "tomorrow",
    "please",
    "confirm",
    "invoice",
    "the",
    "your",
    "and",
    "of",
    "before",
    "Grüße",
    "naïve",
    "façade",
    "señor",
    "Ærø",
    "Привет",
    "заказ",
    "東京",
    "配送",
    "안녕",
    "مرحبا",
    "שלום",
    "🚀",
    "👩‍🚀",
    "“quoted”",
    "account",
    "number",
    "customer",
    "warehouse",
    "shipment",
    "returns",
    "weekly",
    "summary",
    "attached",
    "thank",
    "you",
    "for",
    "choosing",
    "us",
    "amount",
    "total",
    "due",
    "paid",
    "refund",
    "pending",
    "status",
    "update",
];

/// One message in the making.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) time: Timestamp,
    pub(crate) rng: StdRng,
    pub(crate) number: u64,
    pub(crate) seed: u64,
}

impl Message {
    pub(crate) fn new(arguments: &SeedArguments, number: u64) -> Self {
        let seed = arguments.seed;
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(32) ^ number);
        let before_base = rng.random_range(1..=u64::from(arguments.hours) * MILLIS_PER_HOUR);
        let millis = arguments.base.as_millisecond() - i64::try_from(before_base).unwrap_or_default();
        Self {
            id: format!("{MESSAGE_ID_PREFIX}{seed}-{number:08}"),
            time: Timestamp::from_millisecond(millis).unwrap_or(arguments.base),
            rng,
            number,
            seed,
        }
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.random_range(0..from.len())]
    }

    /// Writes it as one line of JSON, without the line's end.
    pub(crate) fn write_to(&mut self, out: &mut String, target: &SeedingTarget) -> Result {
        let (kind, channel) = (self.pick(&KINDS), self.pick(&CHANNELS));
        out.write_str("{")?;
        if target.id_field != "_id" {
            write!(out, "{}:\"{}\",", quoted(&target.id_field), self.id)?;
        }
        write!(out, "{}:\"{:.3}\",", quoted(&target.time_field), self.time)?;
        write!(
            out,
            "\"{SEED_FIELD}\":{},\"kind\":\"{kind}\",\"channel\":\"{channel}\",",
            self.seed
        )?;
        write!(
            out,
            "\"number\":{},\"priority\":{},",
            self.number,
            self.rng.random_range(0..10)
        )?;
        self.write_people(out)?;
        self.write_amounts(out)?;
        self.write_odd_ones(out)?;
        out.write_str("\"headers\":{")?;
        write!(out, "\"trace\":\"{:032x}\",", self.rng.random::<u128>())?;
        write!(
            out,
            "\"hops\":[\"edge-{}\",\"core\",null],\"spam\":false}},",
            self.rng.random_range(1..40)
        )?;
        self.write_words(out, "subject", 6)?;
        out.write_str(",")?;
        self.write_words(out, "body", WORDS_IN_BODY)?;
        out.write_str("}")
    }

    fn write_people(&mut self, out: &mut String) -> Result {
        let (city, country) = CITIES[self.rng.random_range(0..CITIES.len())];
        let (sender, recipients) = (self.rng.random_range(1..5_000), self.rng.random_range(1..4));
        write!(
            out,
            "\"sender\":{{\"name\":\"Sender {sender}\",\"mail\":\"sender{sender}@example.com\","
        )?;
        write!(
            out,
            "\"address\":{{\"city\":\"{city}\",\"country\":\"{country}\"}}}},\"recipients\":["
        )?;
        for at in 0..recipients {
            let comma = if at == 0 { "" } else { "," };
            write!(
                out,
                "{comma}{{\"mail\":\"r{}@example.org\"}}",
                self.rng.random_range(1..90_000)
            )?;
        }
        out.write_str("],")
    }

    fn write_amounts(&mut self, out: &mut String) -> Result {
        out.write_str("\"amounts\":[")?;
        for at in 0..3 {
            let comma = if at == 0 { "" } else { "," };
            let (whole, cents) = (self.rng.random_range(0..10_000), self.rng.random_range(0..100));
            write!(
                out,
                "{comma}{{\"value\":{whole}.{cents:02}0,\"currency\":\"EUR\"}}"
            )?;
        }
        out.write_str("],")
    }

    /// What is still the same value, or seems to be, after a number type or a parser had it in hand.
    fn write_odd_ones(&mut self, out: &mut String) -> Result {
        if self.number.is_multiple_of(ODD_ONE_IN) {
            let beyond = (1_u64 << 53) + 1 + 2 * self.rng.random_range(0..1_u64 << 60);
            write!(out, "\"account\":{beyond},\"ratio\":1.0E+2,\"tiny\":-0.0,")?;
        }
        if self.number % ODD_ONE_IN == 1 {
            out.write_str("\"path\":\"a\\/b\\u0041\\ud83d\\ude80\\t\",  \"spaced\" : [ 1 , 2 ],")?;
        }
        Ok(())
    }

    fn write_words(&mut self, out: &mut String, field: &str, count: usize) -> Result {
        write!(out, "\"{field}\":\"")?;
        for at in 0..count {
            if at > 0 {
                out.write_str(" ")?;
            }
            out.write_str(self.pick(&WORDS))?;
        }
        out.write_str("\"")
    }
}

/// A name as a JSON string.
pub(crate) fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(seed: u64) -> SeedArguments {
        let base = "2026-11-22T10:00:00Z".parse().unwrap();
        SeedArguments {
            count: 100,
            seed,
            base,
            hours: 6,
            batch_size: None,
        }
    }

    fn target() -> SeedingTarget {
        SeedingTarget {
            index: "messages".into(),
            id_field: "message_id".into(),
            time_field: "created_at".into(),
            metadata: Vec::new(),
            lag: std::time::Duration::ZERO,
            request_timeout: std::time::Duration::from_secs(30),
        }
    }

    fn text(seed: u64, number: u64) -> String {
        let mut out = String::new();
        Message::new(&arguments(seed), number)
            .write_to(&mut out, &target())
            .unwrap();
        out
    }

    #[test]
    fn a_message_is_a_function_of_its_seed_and_number() {
        assert_eq!(text(1, 7), text(1, 7));
        assert_ne!(text(1, 7), text(2, 7));
        assert_ne!(text(1, 7), text(1, 8));
    }

    #[test]
    fn a_message_is_json_of_about_2_kb_with_its_time_in_the_range() {
        let mut bytes = 0;
        for number in 0..100 {
            let text = text(5, number);
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            let time: Timestamp = document["created_at"].as_str().unwrap().parse().unwrap();
            assert!(time < arguments(5).base && time >= "2026-11-22T04:00:00Z".parse().unwrap());
            assert_eq!(document["message_id"], format!("granary-seed-5-{number:08}"));
            assert_eq!(document[SEED_FIELD], 5);
            bytes += text.len();
        }
        assert!((1_600..2_600).contains(&(bytes / 100)), "{}", bytes / 100);
    }

    #[test]
    fn e6_some_messages_hold_whole_numbers_beyond_2_to_the_53rd() {
        let document: serde_json::Value = serde_json::from_str(&text(5, 20)).unwrap();
        assert!(document["account"].as_u64().unwrap() > 1 << 53);
    }
}
