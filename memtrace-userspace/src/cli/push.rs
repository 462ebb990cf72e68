//! What can be typed for sending a recording somewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::recordings::{since, size};
use super::{FilterArgs, duration};
use crate::push::Form;
use crate::units::{Bytes, Nanos};

/// `memtrace push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// A recording; without one, what an earlier run has left in the queue is sent
    #[arg(value_name = "FILE", required_unless_present = "queue")]
    pub file: Option<PathBuf>,
    /// The store's address: http://pyroscope:4040, https://USER@profiles.example.com
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// The store's form
    #[arg(long = "as", value_name = "FORM", value_enum)]
    pub form: Form,
    /// Cut the recording into profiles of this length
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = every)]
    pub every: Duration,
    /// Begin at this time after the start: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub from: Option<Nanos>,
    /// End at this time after the start
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub until: Option<Nanos>,
    /// Of what
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Tell threads apart; a store makes more series then
    #[arg(long)]
    pub split_threads: bool,
    /// Name of the service; by default what the process runs
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// A further attribute of every process, by OpenTelemetry's conventions:
    /// host.name=web-1, k8s.pod.name=shop-0
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
    /// File with a token: a bearer token, or the password of the address's USER
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A further header: X-Scope-OrgID=team
    #[arg(long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// Folder in which requests wait; those that could not be sent stay there for the next run
    #[arg(long, value_name = "FOLDER")]
    pub queue: Option<PathBuf>,
    /// Size of the queue; the oldest are dropped when it is full
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub queue_size: Bytes,
    /// Drop what has waited for longer than this
    #[arg(long, value_name = "TIME", default_value = "1day", value_parser = duration)]
    pub queue_age: Duration,
    /// Give up when the store has taken nothing for this time
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub give_up_after: Duration,
    /// Fail when the recording is cut off or damaged, instead of sending what there is
    #[arg(long)]
    pub strict: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

fn every(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Duration::from_secs(1) { Err("must be 1s or longer".to_owned()) } else { Ok(every) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write it like host.name=web-1".to_owned()),
    }
}
