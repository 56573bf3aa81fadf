//! The archive on a real S3 endpoint: `AWS_ENDPOINT_URL`, with a bucket of its own for each test.

mod stand;
mod wire;
mod put;
mod read;
mod faults;
