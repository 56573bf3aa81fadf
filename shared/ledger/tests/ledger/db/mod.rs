mod schema;
mod view;
mod faults;
mod limits;
mod tls;
