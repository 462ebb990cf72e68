//! What is sent, whole, and its form in a file of the queue.
//!
//! A file is one line of JSON (what goes into headers) and the body. Secrets and the store's address
//! are not in it: they are those of the memtrace that sends it.

use serde::{Deserialize, Serialize};

/// Largest message, before compression: gRPC servers refuse more than 4 MiB unless told otherwise.
pub const MAX_REQUEST_BYTES: usize = 3 << 20;

/// Name and version of the files' form.
const SCHEMA: &str = "memtrace.push/1";

/// One message to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which form it has been encoded in.
    pub form: String,
    /// Behind `?`.
    pub query: String,
    /// Its type.
    pub content_type: String,
    /// The body is gzip'd.
    pub gzip: bool,
    /// The message.
    pub body: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    schema: String,
    form: String,
    query: String,
    content_type: String,
    gzip: bool,
    crc32: u32,
}

/// A file of the queue that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a whole request of this version")]
pub(super) struct Damaged;

impl Request {
    pub(super) fn to_file(&self) -> Vec<u8> {
        let line = Line {
            schema: SCHEMA.to_owned(),
            form: self.form.clone(),
            query: self.query.clone(),
            content_type: self.content_type.clone(),
            gzip: self.gzip,
            crc32: crc32fast::hash(&self.body),
        };
        // Texts and numbers can't fail to be JSON.
        let mut file = serde_json::to_vec(&line).unwrap_or_default();
        file.push(b'\n');
        file.extend_from_slice(&self.body);
        file
    }

    /// The request.
    pub(super) fn of_file(file: &[u8]) -> Result<Self, Damaged> {
        let end = file.iter().position(|byte| *byte == b'\n').ok_or(Damaged)?;
        let line: Line = serde_json::from_slice(&file[..end]).map_err(|_| Damaged)?;
        let body = file[end + 1..].to_vec();
        if line.schema != SCHEMA || crc32fast::hash(&body) != line.crc32 {
            return Err(Damaged);
        }
        let Line { form, query, content_type, gzip, .. } = line;
        Ok(Self { form, query, content_type, gzip, body })
    }
}
