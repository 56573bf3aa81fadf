mod turn;
mod closing;
mod operation;
mod alert;
mod lists;
mod retention;
