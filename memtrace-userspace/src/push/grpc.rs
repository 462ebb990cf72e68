//! One unary call of gRPC with a message that is already encoded.
//!
//! tonic does the protocol; this is its codec for bytes, and a look at the status of HTTP: where a
//! proxy answers instead of the server, that says what its page of HTML does not.

use std::future::Future;
use std::pin::Pin;

use prost::bytes::{Buf, BufMut, Bytes};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{Request, Response, StatusCode};
use tonic::codegen::{Context, Poll, Service};
use tonic::transport::{Channel, Error};
use tonic::{Code, Status};

/// Longest answer. Those of stores have a few bytes, or a sentence.
const LONGEST_ANSWER: usize = 64 << 10;

/// Bytes in, bytes out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        if length > LONGEST_ANSWER {
            return Err(Status::internal("an answer far too long"));
        }
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

/// A channel whose answers are those of gRPC servers, whoever gave them.
#[derive(Debug, Clone)]
pub(super) struct Checked(pub(super) Channel);

impl Service<Request<Body>> for Checked {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = Service::call(&mut self.0, request);
        Box::pin(async move {
            let answer = answer.await?;
            match answer.status() {
                StatusCode::OK => Ok(answer),
                status => Ok(Status::new(code(status), status.to_string()).into_http()),
            }
        })
    }
}

/// As gRPC's `doc/http-grpc-status-mapping.md` has it.
fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
