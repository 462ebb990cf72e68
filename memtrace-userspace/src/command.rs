//! The commands, one file each: what was typed becomes a plan, and the plan is run.

pub mod doctor;
