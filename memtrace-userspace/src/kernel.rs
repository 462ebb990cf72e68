//! The kernel's side of the house: the only module that names aya.

pub mod support;
