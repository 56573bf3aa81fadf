//! Pages of ids as a harvester records them: new, known by other times, and known as they are.

use crate::measure::Measures;
use crate::synthetic::{Synthetic, window_of};
use crate::{LEASE, PAGE, STRIDE};
use granary_domain::{IdDigest, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::harvest::{LeasedWindow, PageOfMessages, Recorded, SeenMessage};
use jiff::SignedDuration;
use std::time::Instant;

pub(crate) async fn everything(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let hour = synthetic.hour(synthetic.hours + 1);
    let mut window = window_of(ledger, hour.range(), "late", LEASE).await;
    let seen = |number: u64, id: String| SeenMessage {
        message_id: id.try_into().unwrap(),
        doc_id: None,
        index: "messages".into(),
        routing: None,
        event_time: hour.start() + SignedDuration::from_millis(i64::try_from(number).unwrap()),
    };
    for round in 0..5 {
        let new = |number: u64| {
            let id = IdDigest::hash(format!("new-{round}-{number}").as_bytes());
            seen(number, format!("{id:032X}"))
        };
        let messages: Vec<SeenMessage> = (0..PAGE).map(new).collect();
        let began = Instant::now();
        record(ledger, &mut window, &messages).await;
        measures.report("record_page, 10,000 new messages", began.elapsed());
        let known = |number: u64| {
            let place = 1 + (round * PAGE + number) * STRIDE % synthetic.messages();
            seen(number, Synthetic::id(place))
        };
        let messages: Vec<SeenMessage> = (0..PAGE).map(known).collect();
        let began = Instant::now();
        record(ledger, &mut window, &messages).await;
        measures.report("record_page, 10,000 known messages", began.elapsed());
    }
    ledger.finish_window(&window).await.unwrap();
    read_again(measures, ledger, synthetic).await;
}

/// Pages of hours that were recorded before, as a re-scan or another backfill meets them: their digests tell.
async fn read_again(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let per_hour = synthetic.messages() / synthetic.hours;
    let range = TimeRange::new(Synthetic::start(), synthetic.hour(5).start()).unwrap();
    let mut window = window_of(ledger, range, "again", LEASE).await;
    for round in 0..5 * per_hour / PAGE {
        let messages: Vec<SeenMessage> = (round * PAGE..(round + 1) * PAGE)
            .map(|place| {
                let (id, event_time) = synthetic.at(place);
                SeenMessage {
                    message_id: id.try_into().unwrap(),
                    doc_id: None,
                    index: "messages".into(),
                    routing: None,
                    event_time,
                }
            })
            .collect();
        let began = Instant::now();
        record(ledger, &mut window, &messages).await;
        measures.report(
            "record_page, 10,000 messages of an hour read again",
            began.elapsed(),
        );
    }
    ledger.finish_window(&window).await.unwrap();
}

async fn record(ledger: &Ledger, window: &mut LeasedWindow, messages: &[SeenMessage]) {
    let page = PageOfMessages {
        messages,
        without_id: 0,
        tally_before: window.tally,
        bookmark: "next",
    };
    let Recorded::Done { tally, .. } = ledger.record_page(window, &page, LEASE).await.unwrap() else {
        panic!("the window is somebody else's");
    };
    window.tally = tally;
    window.pages += 1;
}
