//! The CPU time of processes, as the kernel accounts for it.

/// Of the times in `/proc/<pid>/stat` (USER_HZ), on every architecture that the functions run on.
const TICKS_PER_SEC: u64 = 100;
/// Where a process's own time stands, counted from the field after its name: in user mode, then in the kernel.
const TIMES_AT: usize = 11;

/// The CPU time of a process since its start, of all its threads, in microseconds. It counts in steps of 10 ms.
pub(crate) fn cpu_micros(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .unwrap_or_else(|error| panic!("process {pid} can't be read: {error}"));
    let (_, fields) = stat
        .rsplit_once(')')
        .expect("the name of a process stands in parentheses");
    let times = fields.split_whitespace().skip(TIMES_AT).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks * 1_000_000 / TICKS_PER_SEC
}
