//! What the tests share: real interpreters, real targets, and a reader of their answers.

pub mod interpreters;
