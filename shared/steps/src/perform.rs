//! Taking a step, and in debug builds dying at it.

use crate::Step;

/// Takes a step: every side effect happens within `attempt`. It may be called twice, since a caller whose answer got
/// lost calls it twice as well; the last answer is the one that counts.
#[cfg(debug_assertions)]
pub async fn perform<T, F, Fut>(step: Step, mut attempt: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T>,
{
    let fault = faulty::fault_of(step);
    faulty::die_before(fault);
    faulty::panic_before(fault);
    if faulty::is_twice(fault) {
        drop(attempt().await);
    }
    let answer = attempt().await;
    faulty::die_after(fault);
    answer
}

/// Takes a step: every side effect happens within `attempt`.
#[cfg(not(debug_assertions))]
pub async fn perform<T, F, Fut>(_step: Step, mut attempt: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T>,
{
    attempt().await
}

#[cfg(debug_assertions)]
mod faulty {
    use crate::Step;
    use crate::fault::{Fault, Mode, VARIABLE};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ASKED_FOR: OnceLock<Option<Fault>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);

    /// The fault that is due now that the process comes to this step.
    pub(super) fn fault_of(step: Step) -> Option<Fault> {
        let fault = (*ASKED_FOR.get_or_init(from_process)).filter(|fault| fault.step == step)?;
        let reached = REACHED.fetch_add(1, Ordering::SeqCst) + 1;
        (reached == fault.nth).then_some(fault)
    }

    /// A program that reads its environment has refused what can't be read; nothing else may run on without its fault.
    fn from_process() -> Option<Fault> {
        let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
        match text.parse() {
            Ok(fault) => Some(fault),
            Err(unreadable) => {
                eprintln!("{VARIABLE} is {text:?}, which can't be read: {unreadable}");
                std::process::exit(2)
            }
        }
    }

    pub(super) fn die_before(fault: Option<Fault>) {
        if let Some(Fault {
            step,
            mode: Mode::Before,
            ..
        }) = fault
        {
            eprintln!("fault: dies before {step}");
            std::process::abort()
        }
    }

    #[allow(clippy::panic, reason = "a test asked for it")]
    pub(super) fn panic_before(fault: Option<Fault>) {
        if let Some(Fault {
            step,
            mode: Mode::Panic,
            ..
        }) = fault
        {
            panic!("fault: panics before {step}")
        }
    }

    pub(super) fn is_twice(fault: Option<Fault>) -> bool {
        match fault {
            Some(Fault {
                step,
                mode: Mode::Twice,
                ..
            }) => {
                eprintln!("fault: takes {step} twice");
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn die_after(fault: Option<Fault>) {
        if let Some(Fault {
            step,
            mode: Mode::After,
            ..
        }) = fault
        {
            eprintln!("fault: dies after {step}");
            std::process::abort()
        }
    }
}
