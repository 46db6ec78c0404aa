//! The integration tests: the library as its users see it, against real servers.

mod keystone;
