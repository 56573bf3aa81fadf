//! The messages: about 2 KB of JSON each, spread evenly over 24 hours, the same for the same seed.
//!
//! Ids look like random UUIDs, as those of most producers do. A body is words of natural languages and some fields of other types, so that it
//! compresses about as well as real messages.

use crate::stage::{CANARY, Dice, TIME_FIELD};
use jiff::Timestamp;
use std::fmt::Write;
use uuid::Uuid;

/// The range of event times, half-open.
pub(crate) const FROM: &str = "2026-03-01T00:00:00Z";
pub(crate) const TO: &str = "2026-03-02T00:00:00Z";
/// As the mapping of a stage has it.
pub(crate) const ID_FIELD: &str = "message_id";

const DAY_MILLIS: u64 = 86_400_000;
const WORDS_IN_TEXT: usize = 225;
const BODY_BYTES: usize = 2_200;
/// Tells the random numbers of an order from those of messages.
const OF_ORDER: u64 = 0xA5A5_A5A5_A5A5_A5A5;

const KINDS: [&str; 4] = ["order", "invoice", "shipment", "reminder"];
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
    "Привет",
    "заказ",
    "東京",
    "配送",
    "안녕",
    "مرحبا",
    "שלום",
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
    "address",
    "changed",
    "yesterday",
    "quarter",
];

/// The messages, numbered in the order of their event times.
pub(crate) struct Dataset {
    seed: u64,
    from: Timestamp,
    pub(crate) ids: Vec<String>,
}

impl Dataset {
    pub(crate) fn new(seed: u64, messages: u64) -> Self {
        let id = |number: u64| {
            let dice = dice(seed, number);
            Uuid::from_u64_pair(dice.below(u64::MAX), dice.below(u64::MAX)).to_string()
        };
        Self {
            seed,
            from: FROM.parse().unwrap(),
            ids: (0..messages).map(id).collect(),
        }
    }

    /// `_source` of a message, in one line.
    pub(crate) fn body(&self, number: usize) -> String {
        let dice = dice(!self.seed, number as u64);
        let mut body = String::with_capacity(BODY_BYTES);
        let id = &self.ids[number];
        let time = self.time(number as u64);
        write!(body, "{{\"{ID_FIELD}\":\"{id}\",\"{TIME_FIELD}\":\"{time:.3}\"").unwrap();
        let kind = pick(&dice, &KINDS);
        let (sender, recipient) = (dice.below(5_000), dice.below(90_000));
        write!(body, ",\"kind\":\"{kind}\",\"number\":{number},\"urgent\":false").unwrap();
        write!(
            body,
            ",\"sender\":{{\"name\":\"Sender {sender}\",\"mail\":\"sender{sender}@mail.test\"}}"
        )
        .unwrap();
        write!(body, ",\"recipients\":[\"r{recipient}@mail.test\",null]").unwrap();
        let (whole, cents) = (dice.below(10_000), dice.below(100));
        write!(
            body,
            ",\"amount\":{{\"value\":{whole}.{cents:02},\"currency\":\"EUR\"}}"
        )
        .unwrap();
        write!(
            body,
            ",\"trace\":\"{:016x}{:016x}\"",
            dice.below(u64::MAX),
            dice.below(u64::MAX)
        )
        .unwrap();
        write!(body, ",\"text\":\"{CANARY}").unwrap();
        for _ in 0..WORDS_IN_TEXT {
            body.push(' ');
            body.push_str(pick(&dice, &WORDS));
        }
        body.push_str("\"}");
        body
    }

    /// The ids in an order that has nothing to do with time.
    pub(crate) fn shuffled_ids(&self) -> Vec<String> {
        let dice = dice(self.seed, OF_ORDER);
        let mut ids = self.ids.clone();
        for last in (1..ids.len()).rev() {
            let other = usize::try_from(dice.below(last as u64 + 1)).unwrap();
            ids.swap(last, other);
        }
        ids
    }

    fn time(&self, number: u64) -> Timestamp {
        let after = number * DAY_MILLIS / self.ids.len() as u64;
        Timestamp::from_millisecond(self.from.as_millisecond() + i64::try_from(after).unwrap()).unwrap()
    }
}

fn dice(seed: u64, number: u64) -> Dice {
    Dice::new(seed.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17))
}

fn pick<'a>(dice: &Dice, from: &[&'a str]) -> &'a str {
    from[usize::try_from(dice.below(from.len() as u64)).unwrap()]
}
