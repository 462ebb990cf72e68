//! Finding Python from outside.
