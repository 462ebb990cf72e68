//! Known answers: rates, orders, filters, callers, and what keys do.

mod callers;
mod keys;
mod lens;
mod natives;
mod rates;
mod rows;

use memtrace::top::model::{Row, Screen, Subject};

/// What a row is about, in a word: the line number, or the reason.
fn word(row: &Row) -> String {
    match (&row.key.callers[..], row.key.place(), &row.key.subject) {
        ([], Some(place), _) => place.line.to_string(),
        (callers, Some(place), _) => format!("{}{}", ">".repeat(callers.len()), place.line),
        (_, None, Subject::Unattributed { reason, .. }) => reason.as_str().to_owned(),
        (callers, None, Subject::Line(_)) => format!("{}nobody", ">".repeat(callers.len())),
    }
}

fn words(screen: &Screen) -> Vec<String> {
    screen.rows().rows.iter().map(word).collect()
}
