//! A store that fails in the middle: everything arrives all the same, in its order, or the user is
//! told that it did not.

use std::time::Duration;

use harness::store::{Came, Fault, Store};
use harness::{Context, Result, ensure, wait};

use crate::Recorded;

/// The same messages, in their order, as an unharmed store got.
fn all_arrived(store: &Store, expected: &[Came]) -> Result<()> {
    let bodies = |all: &[Came]| -> Vec<_> { all.iter().map(|came| came.body.clone()).collect() };
    let (found, expected) = (bodies(&store.taken()), bodies(expected));
    ensure!(found == expected, "{} of {} arrived", found.len(), expected.len());
    Ok(())
}

#[test]
fn what_fails_for_a_while_is_sent_again() -> Result<()> {
    let recorded = Recorded::make()?;
    for form in ["otlp-http", "parca"] {
        let unharmed = Store::open(&[])?;
        recorded.push(&unharmed, form, &[])?.expect_code(0)?;
        let expected = unharmed.taken();
        ensure!(expected.len() >= 2, "{} requests", expected.len());
        let faults = if form == "parca" {
            // 14 is UNAVAILABLE; without a status of gRPC, 503 is the same.
            vec![Fault::Code(14), Fault::Cut, Fault::Status(503, None)]
        } else {
            vec![Fault::Status(503, None), Fault::Cut, Fault::Status(429, Some("1"))]
        };
        let store = Store::open(&faults)?;
        recorded.push(&store, form, &[])?.expect_code(0)?;
        all_arrived(&store, &expected).context(form)?;
        let came = store.came();
        let after = came.iter().position(|came| came.fault == Some(faults[2].clone()));
        let after = after.context("the third fault")?;
        ensure!(after == 2, "{form}: a request overtook another");
        if form == "otlp-http" {
            let waited = came[3].at - came[2].at;
            ensure!(waited >= Duration::from_secs(1), "asked again after {waited:?}");
        }
    }
    Ok(())
}

#[test]
fn what_will_never_be_taken_is_not_sent_again_and_said() -> Result<()> {
    let recorded = Recorded::make()?;
    for (form, fault, words) in [
        ("pyroscope", Fault::Status(400, None), "400 Bad Request: as the test wants it"),
        ("otlp-http", Fault::Status(401, Some("1")), "401 Unauthorized"),
        ("otlp-http", Fault::Status(307, None), "redirection"),
        ("pyroscope", Fault::Rubbish, "418"),
        ("parca", Fault::Code(3), "InvalidArgument: as the test wants it"),
        ("otlp-grpc", Fault::Code(16), "Unauthenticated"),
    ] {
        let store = Store::open(&[])?;
        store.always(Some(fault.clone()));
        let output = recorded.push(&store, form, &[])?;
        output.expect_code(1)?.expect_words(&["refused", words])?;
        ensure!(!output.stderr.contains('\u{1b}'), "{:?}", output.stderr);
        let mut bodies: Vec<_> = store.came().into_iter().map(|came| came.body).collect();
        let came = bodies.len();
        bodies.dedup();
        ensure!(bodies.len() == came && came >= 2, "{form} {fault:?}: sent again");
    }
    Ok(())
}

#[test]
fn a_store_that_hangs_or_is_not_there_is_given_up() -> Result<()> {
    let recorded = Recorded::make()?;
    let store = Store::open(&[])?;
    store.always(Some(Fault::Hang));
    for form in ["pyroscope", "otlp-grpc"] {
        let output = recorded.push(&store, form, &["--give-up-after", "1s"])?;
        output.expect_code(1)?.expect_words(&[
            "could not be sent",
            "no answer within 500ms",
            "--queue",
        ])?;
    }
    let gone = Store::open(&[])?;
    let recorded_to = gone.address();
    drop(gone);
    let nobody = format!("http://{recorded_to}");
    for form in ["pyroscope", "parca"] {
        let mut command = harness::memtrace::command(["push"])?;
        command.arg(&recorded.recording.file).args(["--to", &nobody, "--as", form]);
        let output = harness::memtrace::finish(command.args(["--give-up-after", "1s"]))?;
        output.expect_code(1)?.expect_words(&["could not be sent", "refused"])?;
    }
    Ok(())
}

#[test]
fn a_store_that_restarts_gets_the_rest() -> Result<()> {
    let recorded = Recorded::make()?;
    for form in ["pyroscope", "otlp-grpc"] {
        let unharmed = Store::open(&[])?;
        recorded.push(&unharmed, form, &[])?.expect_code(0)?;
        let store = Store::open(&[])?;
        store.always(Some(Fault::Status(503, None)));
        let mut push = recorded.command(&store, form, &["--quiet"])?.spawn()?;
        store.wait_for(1)?;
        let address = store.address();
        drop(store);
        std::thread::sleep(Duration::from_millis(200));
        let store = Store::at(address, &[])?;
        let status = wait::until("memtrace to end", || Ok(push.try_wait()?))?;
        ensure!(status.success(), "{status}");
        all_arrived(&store, &unharmed.taken()).context(form)?;
    }
    Ok(())
}
