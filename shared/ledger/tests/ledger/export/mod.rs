mod claim;
mod settle;
mod split;
mod suspect;
mod reap;
mod deferral;
mod transitions;
pub(crate) mod re_export;
mod recall;
