//! A program of freezer-api.
fn main() {}
