//! The gRPC side of the store, by tonic's server: any unary call is taken, and answered by an empty
//! message.

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use prost::bytes::{Buf, BufMut};
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Context, Poll, Service};
use tonic::{Status, server};

/// The message of a call, and the answer to it.
pub(super) async fn taken(request: Request<Full<Bytes>>) -> (Vec<u8>, Response<Body>) {
    let message = Arc::new(Mutex::new(Vec::new()));
    let response = server::Grpc::new(Plain)
        .accept_compressed(CompressionEncoding::Gzip)
        .unary(Keep(Arc::clone(&message)), request)
        .await;
    let message = std::mem::take(&mut *message.lock().unwrap_or_else(PoisonError::into_inner));
    (message, response)
}

/// Keeps what it is called with.
struct Keep(Arc<Mutex<Vec<u8>>>);

impl Service<tonic::Request<Vec<u8>>> for Keep {
    type Response = tonic::Response<Vec<u8>>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = request.into_inner();
        std::future::ready(Ok(tonic::Response::new(Vec::new())))
    }
}

#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
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
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length).to_vec()))
    }
}
