mod tune;
mod identity;
mod audit;
