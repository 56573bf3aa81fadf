mod proof;
mod evidence;
mod parts;
mod repair;
mod invariants;
mod accepted;
mod purge;
