//! What the command lines do, apart from reading their arguments.

pub mod policy;
