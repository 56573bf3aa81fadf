//! Measuring one run: its time, the CPU time of every process that has a part in it, and what the services counted meanwhile.

use crate::counters::{Counters, Counts};
use crate::processes::cpu_micros;
use crate::run::Run;
use crate::stage::Function;
use std::time::Instant;

pub(crate) struct Meter {
    /// Processes that run all the time, by name.
    services: Vec<(&'static str, u32)>,
    counters: Counters,
}

impl Meter {
    pub(crate) fn new(services: Vec<(&'static str, u32)>, counters: Counters) -> Self {
        Self { services, counters }
    }

    /// Measures work on so many messages. The functions that do it may be started by it; they must not end before it does.
    pub(crate) async fn measure(
        &self,
        row: &'static str,
        messages: u64,
        functions: &[&Function],
        work: impl Future<Output = ()>,
    ) -> Run {
        let counts_before = self.counters.read().await;
        let cpu_before = self.cpu(functions);
        let begun = Instant::now();
        work.await;
        let time = begun.elapsed();
        let cpu = difference(self.cpu(functions), &cpu_before);
        let counts = difference(self.counters.read().await, &counts_before);
        let run = Run::new(row, messages, time, &cpu, &counts);
        eprintln!("bench:   {run}");
        run
    }

    /// Microseconds, by process; those of several exporters are added up.
    fn cpu(&self, functions: &[&Function]) -> Counts {
        let mut cpu = Counts::new();
        for (name, pid) in &self.services {
            cpu.insert((*name).to_owned(), cpu_micros(*pid));
        }
        for function in functions {
            *cpu.entry(function.name.clone()).or_default() += function.pid().map_or(0, cpu_micros);
        }
        cpu
    }
}

fn difference(mut after: Counts, before: &Counts) -> Counts {
    for (name, count) in &mut after {
        let before = before.get(name).copied().unwrap_or_default();
        *count = count
            .checked_sub(before)
            .expect("nothing that is counted restarts during a run");
    }
    after
}
