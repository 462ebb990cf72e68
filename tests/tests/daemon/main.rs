//! `memtrace daemon` on real processes: whom it finds and lets go of, what it says of groups, and what
//! answers whom.
//!
//! Each test's programs have an argument of their own, and a rule for that: other processes of this
//! machine come and go as they like.

mod clock;
mod disk;
mod ends;
mod faults;
mod finds;
mod groups;
mod load;
mod page;
mod refuses;
mod scrape;
mod tells;
mod web;
