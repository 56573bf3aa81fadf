mod proof;
mod evidence;
mod parts;
mod repair;
pub(crate) mod rebuild;
mod invariants;
mod accepted;
mod purge;
