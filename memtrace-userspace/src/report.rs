//! The printed forms of a profile: pure functions of it, one file each.
